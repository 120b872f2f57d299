"""Terms on two ranks, with classes replicated and split, against one process that saw all rows; in float64."""

from typing import Any

import pytest
import torch
from torch import Tensor

from common.config import TermsConfig
from common.runtime import mean_over_ranks
from distill.head import build_head, columns
from distill.terms import build_terms
from tests.distill.small_runs import on_ranks

ROWS, CLASSES, DIM = 12, 23, 6
HEADS = {"distilled": {"margin": "cosface", "s": 10.0}, "learned": {"margin": "none", "centers": "learned", "s": 10.0}}
TERMS: dict[str, dict[str, Any]] = {
    "match": {"match": "mse"},
    "rkd": {"relation": "rkd", "relation_weight": 3.0},
    "ekd": {"relation": "ekd", "rank_temperature": 0.2},
    "kd": {"logits": "kd"},
    "gkd": {"logits": "gkd", "temperature": 1.0, "primary_mass": 0.7},
    "all": {"match": "cosine", "relation": "rkd", "logits": "gkd"},
}


def play(terms: dict, head_section: dict, rank: int, ranks: int) -> dict[str, Tensor]:
    """Loss over all ranks, this rank's gradient in the mean of all, and that of learned centres."""
    generator = torch.Generator().manual_seed(6)
    f_s, f_t = (torch.randn(ROWS, DIM, generator=generator, dtype=torch.float64) for _ in range(2))
    labels = torch.randint(4, (ROWS,), generator=generator)
    targets = torch.randn(CLASSES, DIM, generator=generator)
    config = TermsConfig.model_validate(terms)
    torch.manual_seed(0)
    head = build_head(head_section, CLASSES, DIM)
    if config.logits != "off":
        head.teach(config, targets)
    head = head.double()
    rows = slice(rank * ROWS // ranks, (rank + 1) * ROWS // ranks)
    split = head.config.split_classes
    if not split:
        f_t, labels = f_t[rows], labels[rows]
    mine = (2 * f_s[rows]).requires_grad_()
    loss, _ = head(mine, f_t, labels, 0.0)
    if (beside := build_terms(config, split)) is not None:
        loss = loss + beside(mine, f_t, labels).loss
    loss.backward()
    head.average_gradients()
    found = {"loss": mean_over_ranks(loss.detach().clone()), "gradient": mine.grad / ranks}
    centers = head.centers.weight
    if centers.grad is not None:
        found["centers"] = centers.grad if split or ranks == 1 else centers.grad[: CLASSES // 2]
    return found


def child(rank: int) -> None:
    columns.chunk_width = lambda batch, device: 4
    for split in (False, True):
        found = {
            (terms, head): play(TERMS[terms], HEADS[head] | {"split_classes": split}, rank, 2)
            for terms in TERMS
            for head in HEADS
        }
        torch.save(found, f"{split}{rank}.pt")


@pytest.fixture(scope="module")
def of_ranks(tmp_path_factory) -> dict[bool, list[dict]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("ranks"))
        on_ranks(2, child)
        return {split: [torch.load(f"{split}{rank}.pt") for rank in range(2)] for split in (False, True)}


@pytest.mark.parametrize("split", [False, True], ids=["replicated", "split"])
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("terms", TERMS)
def test_two_ranks_are_one_process(of_ranks, terms, head, split):
    alone = play(TERMS[terms], HEADS[head], 0, 1)
    first, second = (rank[terms, head] for rank in of_ranks[split])
    torch.testing.assert_close(first["loss"], alone["loss"], rtol=1e-10, atol=1e-12)
    gradient = torch.cat([first["gradient"], second["gradient"]])
    torch.testing.assert_close(gradient, alone["gradient"], rtol=1e-9, atol=1e-12)
    if head == "learned":
        parts = [first["centers"], second["centers"]] if split else [first["centers"]]
        whole = alone["centers"] if split else alone["centers"][: CLASSES // 2]
        torch.testing.assert_close(torch.cat(parts), whole, rtol=1e-9, atol=1e-12)
