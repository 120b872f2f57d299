"""Which files of exports/NAME travel, and the list of them with their digests (`sha256sum -c SHA256SUMS`)."""

import re
from pathlib import Path

from common.errors import DataError, ModelError
from common.files import replacing, sha256_of

CARD, SUMS = "README.md", "SHA256SUMS"
FAILED = ".failed."
"""In the name of an export that did not hold its gates: it stays here."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+@=-]*")
_WANTED = re.compile(r"\.(safetensors|onnx|thresholds\.json)$|^errors-.*\.png$|^(README\.md|measured\.json)$")
_LINE = re.compile(r"([0-9a-f]{64})  ([^\n]+)")


def travelling(folder: Path) -> list[str]:
    """Names of the files that others get: weights, exports that hold their gates, thresholds, measurements, pictures,
    card. Raises ModelError for one with a name that a list of digests or a shell could misread."""
    names = [path.name for path in sorted(folder.iterdir()) if path.is_file() and not path.is_symlink()]
    wanted = [name for name in names if _WANTED.search(name) and FAILED not in name]
    for name in wanted:
        if not _NAME.fullmatch(name):
            raise ModelError(f"{folder / name}: letters, digits and . _ + @ = - make a name that travels: rename it")
    return wanted


def write_sums(folder: Path) -> None:
    """Write the list of the files that travel."""
    lines = [f"{sha256_of(folder / name)}  {name}\n" for name in travelling(folder)]
    with replacing(folder / SUMS) as temporary:
        temporary.write_text("".join(lines), encoding="ascii")


def parse_sums(text: str, origin: str) -> dict[str, str]:
    """Digests by file name. Raises DataError for a line that is none of such a list."""
    found = {}
    for line in text.splitlines():
        entry = _LINE.fullmatch(line)
        if entry is None or not _NAME.fullmatch(entry[2]):
            raise DataError(f"{origin}: no list of digests: write the card again (python -m export card)")
        found[entry[2]] = entry[1]
    return found


def checked(folder: Path) -> list[str]:
    """The files of a package, each as it was when the card was written.

    Raises ModelError where there is no card yet, and naming the first file that came, went or changed since.
    """
    anew = "write the card again (python -m export card)"
    if not (folder / SUMS).is_file():
        raise ModelError(f"{folder}: no {SUMS}, so no card was written for it: write one (python -m export card)")
    listed = parse_sums((folder / SUMS).read_text(encoding="utf-8", errors="replace"), f"{folder / SUMS}")
    here = set(travelling(folder))
    for name in sorted(here ^ listed.keys()):
        raise ModelError(f"{folder / name}: {'not known to' if name in here else 'gone since'} the card: {anew}")
    for name, digest in listed.items():
        if sha256_of(folder / name) != digest:
            raise ModelError(f"{folder / name}: changed since the card was written: {anew}")
    return [*listed]
