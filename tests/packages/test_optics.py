"""Polynomials of optics and thin lenses with `prysm`."""

from __future__ import annotations

import pytest

from tests.packages.checking import Call, check


def _zernike():
    from prysm.polynomials import zernike_nm

    return lambda r, angle: zernike_nm(4, 2, r, angle)


def _lens():
    from prysm import thinlens
    from prysm.polynomials import jacobi

    return lambda x, distance: jacobi(4, 1.0, 0.5, x) + thinlens.object_to_image_dist(0.1, distance)


CALLS = [
    Call("prysm", "prysm.polynomials", "Zernike polynomial", _zernike, (0.5, 0.3)),
    Call("prysm", "prysm.polynomials", "Jacobi polynomial, image distance", _lens, (0.5, -2.0)),
]


@pytest.mark.parametrize("call", CALLS, ids=lambda c: c.title)
def test_optics(call):
    check(call)
