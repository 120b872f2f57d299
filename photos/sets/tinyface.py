"""TinyFace, aligned as in AdaFace's release, becomes the set that `python -m evaluate` reads.

    python -m photos tinyface data/tinyface_release data/tinyface

    aligned_pad_0.1_pad_high/          aligned faces, 112x112, all in one folder (or several levels of folders)
    tinyface/Testing_Set/Probe/        the original pictures, whose names say what each face is in the protocol:
    tinyface/Testing_Set/Gallery_Match/            1_2.jpg is of person 1
    tinyface/Testing_Set/Gallery_Distractor/

Faces and originals belong together by name without folder and extension. An original without an aligned face is named;
so is a face of two places. The pictures are kept as they are.
"""

import os
from pathlib import Path

import numpy as np

from common.documents import read_regular
from common.errors import DataError
from common.faces import write_arrow, write_protocol
from common.text import printable
from common.writers import new_folder

PARTS = {"probe": "Probe", "gallery": "Gallery_Match", "distractor": "Gallery_Distractor"}
SUFFIXES = (".jpg", ".jpeg", ".png")
LARGEST = 1 << 26  # bytes of an aligned face
"""More than any picture of 112x112 can have."""


def write_tinyface(release: Path, out: Path, faces: Path | None = None) -> str:
    """Write the set of a release's folder to a new folder. Returns what was found.

    faces: the folder of aligned faces, where it is not the only `aligned*` folder in the release. Raises DataError.
    """
    folder = faces or _aligned_folder(release)
    names = _pictures(folder)
    by_key: dict[str, str] = {}
    for name in names:
        other = by_key.setdefault(_key(name), name)
        if other != name:
            raise DataError(f"{printable(folder / name)}: has the name of {printable(other)}: remove one of them")
    parts = {part: _pictures(release / "tinyface" / "Testing_Set" / below) for part, below in PARTS.items()}
    _require_people(release, parts)
    lost = [(part, name) for part, members in parts.items() for name in members if _key(name) not in by_key]
    if lost:
        part, name = lost[0]
        raise DataError(
            f"{folder}: no aligned face for {len(lost):,} pictures, such as {PARTS[part]}/{printable(name)}: give the "
            "folder of the same release"
        )
    with new_folder(out, "a TinyFace set's writing") as making:
        write_arrow(making, (_picture(folder / name) for name in names), len(names))
        texts = {"image_paths": names} | {f"{part}_paths": members for part, members in parts.items()}
        write_protocol(making, {key: np.array(values, object) for key, values in texts.items()})
    counts = ", ".join(f"{len(members):,} {part}" for part, members in parts.items())
    return f"{out}: {len(names):,} faces; {counts}"


def _aligned_folder(release: Path) -> Path:
    found = sorted(path for path in release.glob("*aligned*") if path.is_dir())
    if len(found) != 1:
        raise DataError(f"{release}: {len(found)} folders called *aligned*, expected one: say which with --faces")
    return found[0]


def _pictures(folder: Path) -> list[str]:
    """Paths below a folder, in the order of their code points. Raises DataError for none, or a folder that is not."""
    found = []
    for parent, folders, files in os.walk(folder, onerror=_raise):
        folders.sort()
        found += [Path(parent, file).relative_to(folder).as_posix() for file in files if _is_picture(file)]
    if not found:
        raise DataError(f"{folder}: no pictures there ({', '.join(SUFFIXES)}): TinyFace's layout is in docs/data.md")
    return sorted(found)


def _is_picture(file: str) -> bool:
    return file.lower().endswith(SUFFIXES) and not file.startswith(".")


def _raise(error: OSError) -> None:
    raise DataError(f"{error.filename}: cannot be listed ({error.strerror}): TinyFace's layout is in docs/data.md")


def _key(name: str) -> str:
    return os.path.splitext(name.rsplit("/", 1)[-1])[0]


def _require_people(release: Path, parts: dict[str, list[str]]) -> None:
    """Probes and mates are called PERSON_NUMBER; evaluation takes the person from there."""
    for part in ("probe", "gallery"):
        for name in parts[part]:
            if not _key(name).split("_")[0].isdecimal():
                raise DataError(
                    f"{release}: {PARTS[part]}/{printable(name)} does not begin with its person's number, as 12_3.jpg"
                )


def _picture(path: Path) -> bytes:
    return read_regular(path, DataError, "copy it again", LARGEST)
