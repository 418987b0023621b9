"""IR to native code: planning of memory and loops, LLVM text, the call wrapper."""

from wengert.codegen.compiled import Compiled, compile, options_from_environment
from wengert.codegen.lowering import Note, Options

__all__ = ["Compiled", "Note", "Options", "compile", "options_from_environment"]
