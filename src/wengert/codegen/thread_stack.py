"""How far down the stack of the present thread may grow: what deep recursion in native code is measured against."""

from __future__ import annotations

import ctypes
import sys

MARGIN = 256 * 1024
"""Bytes at the end of the stack that are left for a callback into Python."""


def stack_limit() -> int:
    """The lowest address that frames of this thread may reach; 0 where the system does not tell."""
    if sys.platform == "darwin":
        return _limit_on_macos() + MARGIN
    if sys.platform.startswith("linux"):
        lowest = _lowest_on_linux()
        return lowest + MARGIN if lowest else 0
    return 0


def _lowest_on_linux() -> int:
    library = ctypes.CDLL(None)
    attributes = ctypes.create_string_buffer(256)  # a pthread_attr_t, which is smaller everywhere
    address, size = ctypes.c_void_p(), ctypes.c_size_t()
    library.pthread_self.restype = ctypes.c_void_p
    if library.pthread_getattr_np(ctypes.c_void_p(library.pthread_self()), attributes):
        return 0
    failed = library.pthread_attr_getstack(attributes, ctypes.byref(address), ctypes.byref(size))
    library.pthread_attr_destroy(attributes)
    return 0 if failed else address.value or 0


def _limit_on_macos() -> int:
    library = ctypes.CDLL(None)
    library.pthread_self.restype = ctypes.c_void_p
    thread = ctypes.c_void_p(library.pthread_self())
    library.pthread_get_stackaddr_np.restype = ctypes.c_void_p
    library.pthread_get_stacksize_np.restype = ctypes.c_size_t
    return int(library.pthread_get_stackaddr_np(thread)) - int(library.pthread_get_stacksize_np(thread))
