"""Photographs in, labelled mosaics out; by Pillow."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from clconv.conformance.calls import Array

LARGEST_SIDE = 512  # the reference checks every number in plain numpy
LABEL_HEIGHT = 16
GAP = 6


def load(photo: Path | None) -> tuple[Array, str]:
    """Return a photograph as (1, 3, H, W) float32 in [0, 1], shrunk if large, and its name.

    None is the photograph that comes with clconv: Eileen Collins, NASA, public domain.
    """
    if photo is None:
        with files("clconv.frontends").joinpath("astronaut.png").open("rb") as stream:
            return _pixels(Image.open(stream)), "Astronaut Eileen Collins (NASA)"
    with Image.open(photo) as picture:
        return _pixels(picture), photo.name


def _pixels(picture: Image.Image) -> Array:
    rgb = picture.convert("RGB")
    rgb.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    planes = np.asarray(rgb, np.float32).transpose(2, 0, 1) / 255
    return np.ascontiguousarray(planes[None])


def save(path: Path, planes: Mapping[str, Array], columns: int) -> None:
    """Write a mosaic of labelled (H, W) or (3, H, W) planes, each stretched to its own range."""
    tiles = {
        label: Image.fromarray(_bytes(plane)).convert("RGB") for label, plane in planes.items()
    }
    width = max(tile.width for tile in tiles.values()) + GAP
    height = max(tile.height for tile in tiles.values()) + LABEL_HEIGHT + GAP
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (columns * width + GAP, rows * height + GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for i, (label, tile) in enumerate(tiles.items()):
        corner = (GAP + i % columns * width, GAP + i // columns * height)
        draw.text(corner, label, fill="black")
        sheet.paste(tile, (corner[0], corner[1] + LABEL_HEIGHT))
    sheet.save(path)


def _bytes(plane: Array) -> Array:
    image = plane.transpose(1, 2, 0) if plane.ndim == 3 else plane
    low, high = np.percentile(image, (0.5, 99.5))  # a few extreme pixels would darken the rest
    scaled = (image - low) / max(high - low, 1e-12)
    pixels: Array = (255 * scaled.clip(0, 1)).astype(np.uint8)
    return pixels
