"""Files of another kind than the one asked for, told by how they begin, before anything tries to read them."""

from collections.abc import Collection

from common.errors import DataError

_FOREIGN = {
    b"\xff\xd8\xff": "a JPEG picture",
    b"\x89PNG": "a PNG picture",
    b"GIF8": "a GIF picture",
    b"PK": "a zip file (.npz, .zip or torch weights)",
    b"\x1f\x8b": "a gzip file",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ": "an xz file",
    b"\x89HDF": "an HDF5 file",
    b"\x93NUMPY": "a numpy array (.npy)",
    b"\x0a\x23\xd7\xce": "a RecordIO file (.rec)",
    b"%PDF": "a PDF file",
    b"\x7fELF": "a program",
    b"ARROW1": "an Arrow file",
    b"\xff\xff\xff\xff": "an Arrow stream",
    b"version https://git-lfs": "a Git LFS pointer, not the file itself (git lfs pull)",
}


def refuse_foreign(data: bytes, where: str, wanted: str, allowed: Collection[bytes] = ()) -> None:
    """Raise DataError saying what a file is that begins as one of another kind; `wanted`: what it should be, `allowed`:
    beginnings that it may have."""
    known = next((kind for start, kind in _FOREIGN.items() if start not in allowed and data.startswith(start)), None)
    if not data:
        known = "empty"
    elif known is None and data[:1] in (b"{", b"<", b"#") and b"\0" not in data[:64]:
        known = "a text file"
    if known is not None:
        raise DataError(f"{where}: it is {known}, no {wanted}: copy it again, or name another file")
