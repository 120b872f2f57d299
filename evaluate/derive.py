"""Verification sets made of a verification set: a part of its pairs, or the same pairs with a poor probe."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common.errors import DataError, UserError
from common.faces import at_resolution, decode_rgb, encode_png, write_bin
from evaluate.files import load_bin

Pairs = tuple[list[bytes], np.ndarray]


def derive(source: Path, out: Path, part: slice | None = None, side: int | None = None) -> str:
    """Write a `.bin` of another one; a sentence about it.

    part: of its pairs, in the order of the file; else all. side: pixels that the second picture of each pair is shrunk
    to. Raises DataError for a set that cannot be read, or has not that many pairs of both kinds.
    """
    pictures, issame = load_bin(source)
    if part is not None:
        if part.stop > len(issame):
            raise DataError(f"{source}: {len(issame):,} pairs, but --pairs asks for {part.start}:{part.stop}")
        pictures, issame = part_of(pictures, issame, part)
        if issame.all() or not issame.any():
            raise DataError(f"{source}: pairs {part.start}:{part.stop} are all of one kind: nothing can be verified")
    if side is not None:
        pictures = [
            poor(picture, side, f"{source}, picture {number}") if number % 2 else picture
            for number, picture in enumerate(pictures)
        ]
    write_bin(out, pictures, issame)
    poorly = f", the second picture of each shrunk to {side} pixels and back" if side is not None else ""
    return f"{out}: {len(issame):,} pairs, {int(issame.sum()):,} of one person{poorly}"


def part_of(pictures: Sequence[bytes], issame: np.ndarray, part: slice) -> Pairs:
    """Pairs [start, stop), genuine and impostor ones mixed evenly.

    Ten-fold verification takes blocks in the order of the file, so each block must have its share of both. The order
    among pairs of a kind stays.
    """
    inside = issame[part]
    place = np.empty(len(inside))
    for kind in (True, False):
        of_kind = np.flatnonzero(inside == kind)
        place[of_kind] = (np.arange(len(of_kind)) + 0.5) / max(1, len(of_kind))
    order = part.start + np.lexsort((~inside, place))
    return [pictures[2 * pair + side] for pair in order for side in (0, 1)], issame[order]


def poor(picture: bytes, side: int, name: str) -> bytes:
    """A picture of that many pixels along its longer side, enlarged again, as PNG: nothing else is lost."""
    rgb = decode_rgb(picture, name)
    if max(rgb.shape[:2]) < side:
        raise DataError(f"{name}: {rgb.shape[1]}x{rgb.shape[0]} pixels, fewer than the {side} it is to be shrunk to")
    return encode_png(at_resolution(rgb, side))


def parse_part(text: str) -> slice:
    """START:STOP as a slice. Raises UserError for anything else."""
    found = re.fullmatch(r"(\d{1,9}):(\d{1,9})", text, re.ASCII)
    if found is None or int(found[1]) >= int(found[2]):
        raise UserError(f"--pairs {text!r}: say START:STOP, the first pair and the one behind the last, as 0:600")
    return slice(int(found[1]), int(found[2]))
