"""Files that programs wrote are read with a type, and refused in one line whatever is in them."""

import os
from pathlib import Path

import pytest
from pydantic import BaseModel

from common.documents import read_document
from common.errors import CacheError


class Entry(BaseModel):
    bytes: int
    sha256: str


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b'{"bytes": "x", "sha256": "y"}',
        b'{"bytes": 1, "sha256": ["y"]}',
        b'{"bytes": ' + b"9" * 5000 + b', "sha256": "y"}',
        b"\xff\xfe",
        b"[" * 200_000,
        b'{"a":' * 100_000,
    ],
)
def test_what_is_not_the_promised_type_is_one_line_with_the_path(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "entry.json"
    file.write_bytes(content)
    with pytest.raises(CacheError, match=r"entry\.json: damaged.*: build again$") as caught:
        read_document(file, Entry, CacheError, "build again")
    assert "\n" not in str(caught.value)


def test_pipes_folders_and_missing_files_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name, said in (("pipe", "not a regular file"), ("folder", "not a regular file|directory"), ("none", "No such")):
        with pytest.raises(CacheError, match=f"{name}: .*({said})"):
            read_document(tmp_path / name, Entry, CacheError)


def test_a_whole_document_is_read_as_its_type(tmp_path: Path) -> None:
    (tmp_path / "entry.json").write_text('{"bytes": 3, "sha256": "ab"}')
    assert read_document(tmp_path / "entry.json", Entry) == Entry(bytes=3, sha256="ab")
    (tmp_path / "plain.json").write_text('{"a": 1}')
    assert read_document(tmp_path / "plain.json", dict[str, int]) == {"a": 1}
