"""Frozen centres from a teacher's training header."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from common.config import HeadConfig
from common.errors import ConfigError, DataError
from distill.head.first_centers import read_header
from distill.run import checkpoints
from tests.distill.small_runs import run

CLASSES, DIM = 7, 16


@pytest.fixture
def centers() -> torch.Tensor:
    return torch.randn(CLASSES, DIM, generator=torch.Generator().manual_seed(0))


def test_kernel_and_weight_files_give_the_same_centres(tmp_path, centers):
    torch.save({"kernel": centers.T.contiguous(), "batch_mean": torch.ones(1)}, tmp_path / "header.pth")
    save_file({"weight": centers}, tmp_path / "header.safetensors")
    for name in ("header.pth", "header.safetensors"):
        assert torch.equal(read_header(tmp_path / name, CLASSES, DIM), centers)


def test_the_name_decides_where_both_shapes_fit(tmp_path):
    square = torch.randn(5, 5)
    save_file({"head.kernel": square}, tmp_path / "kernel.safetensors")
    save_file({"weight": square}, tmp_path / "weight.safetensors")
    assert torch.equal(read_header(tmp_path / "kernel.safetensors", 5, 5), square.T)
    assert torch.equal(read_header(tmp_path / "weight.safetensors", 5, 5), square)


@pytest.mark.parametrize(
    ("tensors", "match"),
    [
        (
            {"kernel": torch.randn(DIM, 9)},
            r"kernel is 16 x 9, but the faces have 7 identities .* embeddings are 16 wide",
        ),
        (
            {"weight": torch.randn(CLASSES, 32)},
            r"weight is 7 x 32, but the faces have 7 identities .* embeddings are 16 wide",
        ),
        ({"a": torch.randn(CLASSES, DIM), "b": torch.randn(3, 3)}, r"one matrix .* a \(7, 16\), b \(3, 3\)"),
        ({"t": torch.ones(1)}, r"matrices in it: none"),
        ({"kernel": torch.full((DIM, CLASSES), torch.nan)}, "no direction for class 0"),
        (
            {
                "weight": torch.eye(CLASSES, DIM)[torch.tensor([0, 1, 2, 3, 4, 5, 5])]
                * torch.tensor([[1.0]] * 6 + [[0.0]])
            },
            "no direction for class 6",
        ),
    ],
)
def test_a_header_that_does_not_fit_is_refused(tmp_path, tensors, match):
    torch.save(tensors, tmp_path / "header.pt")
    with pytest.raises(DataError, match=rf"header\.pt.*{match}"):
        read_header(tmp_path / "header.pt", CLASSES, DIM)


def test_a_header_that_would_run_code_is_refused(tmp_path):
    torch.save({"kernel": Path("x")}, tmp_path / "header.pt")
    with pytest.raises(DataError, match="objects other than tensors"):
        read_header(tmp_path / "header.pt", CLASSES, DIM)


def test_a_run_on_a_header_needs_neither_teacher_nor_cache_and_keeps_its_centres(world, centers):
    save_file({"weight": centers}, world / "data" / "header.safetensors")
    head = {"margin": "cosface", "centers": "frozen", "header": "header.safetensors"}
    run("header", teacher=None, head=head)
    state = checkpoints.latest(Path("runs/header/checkpoints"))
    assert torch.equal(state["head"]["centers.weight"], centers)


def test_a_missing_header_leaves_no_run_folder(world):
    with pytest.raises(DataError, match=r"data/none\.pt: there is no such file"):
        run("missing", teacher=None, head={"margin": "cosface", "centers": "frozen", "header": "none.pt"})
    assert not Path("runs/missing").exists()


def test_a_header_has_no_effect_on_centres_that_move():
    with pytest.raises((ConfigError, ValueError), match="header has no effect"):
        HeadConfig(header="header.pt")
