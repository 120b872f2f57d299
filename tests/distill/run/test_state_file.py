"""A state written piece by piece is one of torch's own files."""

import zipfile
from typing import Any

import pytest
import torch

from distill.run import state_file
from distill.run.state_file import write_state
from tests.distill.small_runs import equal

DTYPES = [*state_file._STORAGES]


def state() -> dict[str, Any]:
    torch.manual_seed(0)
    shared = torch.randn(3)
    return {
        "step": 7,
        "best": None,
        "text": "ä",
        "several": [1.5, (True, {})],
        "by type": {str(dtype): torch.tensor([[0, 1, 1]]).to(dtype) for dtype in DTYPES},
        "a number": torch.tensor(4),
        "nothing": torch.empty(0, 5),
        "large": torch.randn(40, 7),
        "transposed": torch.randn(4, 9).T,
        "channels last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "a part": torch.randn(9, 4)[2:5, 1:3],
        "once": shared,
        "twice": shared,
    }


def test_torch_reads_what_was_written_with_its_strides_and_checksums(tmp_path):
    written = state()
    write_state(written, tmp_path / "state.pt")
    read = torch.load(tmp_path / "state.pt", weights_only=True)
    assert equal(read, written)
    for name in ("transposed", "channels last"):
        assert read[name].stride() == written[name].stride()
    assert read["a part"].untyped_storage().nbytes() == 6 * 4
    with zipfile.ZipFile(tmp_path / "state.pt") as archive:
        assert archive.testzip() is None


def test_the_same_state_gives_the_same_bytes(tmp_path):
    for name in ("one.pt", "other.pt"):
        write_state(state(), tmp_path / name)
    assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "other.pt").read_bytes()


def test_records_too_large_for_a_plain_zip_are_read(tmp_path, monkeypatch):
    """Zip's extension for them, taken here for every record."""
    opened = zipfile.ZipFile.open
    monkeypatch.setattr(
        zipfile.ZipFile, "open", lambda *args, force_zip64=False, **named: opened(*args, force_zip64=True, **named)
    )
    write_state(state(), tmp_path / "state.pt")
    assert equal(torch.load(tmp_path / "state.pt", weights_only=True), state())


@pytest.mark.parametrize("block", [4, 100, 1 << 20])
def test_no_more_than_a_block_is_copied_from_the_device_at_a_time(tmp_path, monkeypatch, block):
    copied = []
    cpu = torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, "cpu", lambda x: copied.append(x.nbytes) or cpu(x))
    monkeypatch.setattr(state_file, "BLOCK", block)
    write_state({"large": state()["large"]}, tmp_path / "state.pt")
    assert max(copied) == min(block, 40 * 7 * 4)
    assert sum(copied) == 40 * 7 * 4
    assert equal(torch.load(tmp_path / "state.pt", weights_only=True), {"large": state()["large"]})
