"""A data set that came from photos, as people read it."""

import textwrap
from pathlib import Path
from typing import Any

import numpy as np

from common.documents import read_document
from common.errors import DataError
from common.faces import ALIGNER, aligner_text, open_source, read_aligner
from common.text import WIDTH
from photos.faces_table import NAME, read_faces, summary


def describe(path: Path) -> str:
    """What is in aligned faces, packed faces, a list or a `.bin`, and how they were aligned, in lines.

    Raises DataError for anything else.
    """
    if path.suffix == ".bin":
        account = _account(path)
        lines = [f"{path}: {len(account['pairs']):,} pairs in {len(account['folds'])} folds"]
        aligner = account.get("aligner")
    elif (path / NAME).exists():
        lines, aligner = [f"{path}: {summary(read_faces(path))}"], read_aligner(path)
    else:
        source = open_source(path)
        aligner = source.aligner
        counts = np.bincount(source.labels)
        lines = [
            f"{path}: {source.kind}, {len(source):,} faces of {source.num_classes:,} people",
            f"  {'a person':<11}{counts.min():,} to {counts.max():,} faces, median {np.median(counts):g}",
        ]
    told = aligner_text(aligner) if aligner else f"nobody says how: no {ALIGNER}"
    return "\n".join([*lines, *_told(told)])


def _told(text: str) -> list[str]:
    start = f"  {'aligned':<11}"
    return textwrap.wrap(text, WIDTH, initial_indent=start, subsequent_indent=" " * len(start), break_on_hyphens=False)


def _account(path: Path) -> dict[str, Any]:
    account = read_document(path.with_suffix(".json"), dict[str, Any], DataError, "make the set again")
    if not isinstance(account.get("pairs"), list) or not isinstance(account.get("folds"), list):
        raise DataError(f"{path.with_suffix('.json')}: damaged: no pairs in it: make the set again")
    return account
