"""clconv/algorithms/gemm.py: which register tile a product gets."""

from __future__ import annotations

import dataclasses

import pytest

from clconv.algorithms.gemm import Tile, tile_for

TALL, LONG = Tile(mr=6, nv=1, vw=16), Tile(mr=4, nv=3, vw=8)


@pytest.fixture
def avx2(device):
    return dataclasses.replace(
        device, kernels="cpu", simd_width_f32=8, simd_width_f64=4, max_vector_width=16
    )


@pytest.mark.parametrize(
    ("size", "tile"),
    [((64, 3136), LONG), ((2, 50176), LONG), ((64, 49), TALL), ((6, 16), TALL), ((4, 24), LONG)],
    ids=str,
)
def test_the_tile_that_wastes_less_of_a_product(avx2, size, tile):
    assert tile_for(avx2, "float32", size) == tile


def test_other_registers_have_one_tile(avx2):
    assert tile_for(avx2, "float32") == TALL
    assert tile_for(avx2, "float64", (64, 3136)) == Tile(mr=6, nv=1, vw=8)
    wide = dataclasses.replace(avx2, simd_width_f32=16)
    assert tile_for(wide, "float32", (64, 3136)) == Tile(mr=8, nv=2, vw=16)
