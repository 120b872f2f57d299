"""What an aligned face's file is called: PERSON/NAME as the photo's, but safe for any file system, and its own."""

import hashlib
import os
from collections import Counter
from collections.abc import Sequence

from common.faces import ALIGNER
from common.text import file_name
from photos.faces_table import NAME
from photos.find import Photo


def stems(photos: Sequence[Photo]) -> list[str]:
    """Path without suffix of each photo's aligned face. Folders below the person's become part of the name.

    People, and photos of a person, whose names would be alike (but for case: some disks do not tell) get eight digits
    of the SHA-256 of their own.
    """
    people = list(dict.fromkeys(photo.person for photo in photos if photo.person is not None))
    folders = dict(
        zip(people, _distinct(people, [file_name(person) for person in people], (NAME, ALIGNER)), strict=True)
    )
    paths = [photo.path for photo in photos]
    wanted = [f"{folders[photo.person]}/{_name(photo)}" if photo.person else _name(photo) for photo in photos]
    return _distinct(paths, wanted, ())


def _name(photo: Photo) -> str:
    below = photo.path.removeprefix(f"{photo.person}/") if photo.person else photo.path
    return file_name(os.path.splitext(below)[0].replace("/", "_"))


def _distinct(originals: Sequence[str], names: Sequence[str], taken: Sequence[str]) -> list[str]:
    often = Counter(name.casefold() for name in (*names, *taken))
    return [
        name if often[name.casefold()] == 1 else f"{name}-{hashlib.sha256(original.encode()).hexdigest()[:8]}"
        for original, name in zip(originals, names, strict=True)
    ]
