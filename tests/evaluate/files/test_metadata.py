"""metadata.pt: every way of writing it gives the same arrays; hostile and broken files are refused, not run."""

import io
import pickle
import zipfile

import numpy as np
import pytest
import torch

from common.errors import DataError
from evaluate.files.metadata import read_metadata

READABLE = [
    "ijb_lists",
    "ijb_tensors",
    "ijb_ndarray_numpy1",
    "ijb_ndarray_numpy2",
    "tinyface_lists",
    "tinyface_ndarray_numpy1",
    "tinyface_ndarray_numpy2",
    "tinyface_fixed_width_str_numpy1",
]


@pytest.mark.parametrize("name", READABLE)
def test_every_reference_spelling_gives_the_protocol_arrays(golden, name):
    meta = read_metadata(golden / f"metadata_variants/{name}.pt")
    protocol = np.load(golden / f"metadata_variants/{name.split('_')[0]}_protocol.npz")
    assert set(meta) == set(protocol.files)
    for key, column in meta.items():
        assert np.array_equal(column, protocol[key]), key
        assert column.dtype.kind == {"f": "f", "i": "i", "U": "O"}[protocol[key].dtype.kind]


@pytest.mark.parametrize("name", ["ijb_evil", "tinyface_evil"])
def test_a_file_that_asks_for_a_call_is_refused_and_not_run(golden, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=rf"{name}\.pt: asks to call posix\.mkdir"):
        read_metadata(golden / f"metadata_variants/{name}.pt")
    assert not any(tmp_path.iterdir())


def save(path, content, **options):
    torch.save(content, path, **options)
    return path


def test_what_this_torch_and_numpy_write_is_read(tmp_path):
    content = {
        "a": np.arange(5),
        "b": np.array(["x", "yy"], object),
        "c": np.array([True, False]),
        "d": [np.int64(3), 4],
    }
    meta = read_metadata(save(tmp_path / "m.pt", content))
    assert meta["a"].tolist() == [0, 1, 2, 3, 4]
    assert meta["b"].tolist() == ["x", "yy"]
    assert meta["c"].tolist() == [True, False]
    assert meta["d"].tolist() == [3, 4]


def test_a_file_of_torch_before_1_6_is_refused_with_what_to_do(tmp_path):
    save(tmp_path / "m.pt", {"a": np.arange(5)}, _use_new_zipfile_serialization=False)
    with pytest.raises(DataError, match=r"m\.pt: not written by torch\.save, or by torch before 1\.6: save it again"):
        read_metadata(tmp_path / "m.pt")


def test_a_slice_of_a_shared_tensor_is_its_own_values(tmp_path):
    whole = torch.arange(10)
    meta = read_metadata(save(tmp_path / "m.pt", {"part": whole[3:6], "whole": whole}))
    assert meta["part"].tolist() == [3, 4, 5]
    assert meta["whole"].tolist() == list(range(10))


def repack(path, change):
    """The same torch file with some members changed; `change` maps a member's name to its new content or None."""
    out = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w") as new:
        for info in old.infolist():
            content = change.get(info.filename.partition("/")[2], old.read(info))
            if content is not None:
                new.writestr(info.filename, content)
    path.write_bytes(out.getvalue())
    return path


BAD_CONTENT = {
    "no dictionary": [1, 2],
    "two dimensions": {"a": np.zeros((2, 2))},
    "tensor of two dimensions": {"a": torch.zeros(2, 2)},
    "every other value": {"a": torch.arange(10)[::2]},
    "mixed list": {"a": [1, "x"]},
    "nested": {"a": [[1], [2]]},
    "objects": {"a": np.array([{}, {}], object)},
    "beyond 64 bits": {"a": [1 << 70]},
    "complex": {"a": np.zeros(3, complex)},
    "half tensor": {"a": torch.zeros(3, dtype=torch.bfloat16)},
}


@pytest.mark.parametrize("content", BAD_CONTENT.values(), ids=BAD_CONTENT.keys())
def test_content_of_another_kind_is_refused_by_name(tmp_path, content):
    with pytest.raises(DataError, match=r"m\.pt"):
        read_metadata(save(tmp_path / "m.pt", content))


@pytest.mark.parametrize(
    "change",
    [{"data.pkl": None}, {"data/0": None}, {"data/0": b"short"}, {"byteorder": b"big"}, {"data.pkl": b"\x80\x02}q"}],
    ids=["no pickle", "no storage", "short storage", "big endian", "cut pickle"],
)
def test_a_damaged_zip_is_refused_by_name(tmp_path, change):
    path = repack(save(tmp_path / "m.pt", {"a": torch.arange(5)}), change)
    with pytest.raises(DataError, match=r"m\.pt"):
        read_metadata(path)


def test_other_files_are_refused_by_name(tmp_path, golden):
    whole = (golden / "metadata_variants/ijb_tensors.pt").read_bytes()
    compressed = io.BytesIO()
    with zipfile.ZipFile(compressed, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("m/data.pkl", b"0" * 100_000)
    contents = [b"", b"PK", whole[: len(whole) // 2], compressed.getvalue(), pickle.dumps({"a": [1]}), b"not at all"]
    for number, content in enumerate(contents):
        (tmp_path / f"{number}.pt").write_bytes(content)
        with pytest.raises(DataError, match=rf"{number}\.pt"):
            read_metadata(tmp_path / f"{number}.pt")
    with pytest.raises(DataError, match="cannot be read"):
        read_metadata(tmp_path / "missing.pt")
