"""Whole runs whose class centres are split over ranks."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cache.reader import TeacherCache
from common.faces.sources import open_source
from common.faces.views import Views
from distill.batches.epochs import EpochOrder
from distill.batches.face_batches import FaceBatches
from tests.distill.small_runs import equal, final_state, on_ranks, run
from tests.tiny import experiment

LEARNED = {"margin": "arcface", "centers": "learned"}


def test_batches_of_a_split_head_have_every_ranks_labels_and_teacher_and_ones_own_faces(cached):
    cache, source = TeacherCache("caches/tiny"), open_source("data/faces")
    split = experiment(head={"split_classes": True}, train={"batch_size": 4})
    own = experiment(train={"batch_size": 4})
    orders = [[EpochOrder(config, np.arange(len(source)), rank, 2) for rank in range(2)] for config in (split, own)]
    batches = [
        [
            FaceBatches(source, Views("flip"), cache, True, (112, 112), rows_of_rank=order.rows_of_rank)[
                next(order.from_step(0))
            ]
            for order in row
        ]
        for row in orders
    ]
    for field in ("labels", "f_t", "confidence"):
        whole = torch.cat([getattr(batch, field) for batch in batches[1]])
        assert all(torch.equal(getattr(batch, field), whole) for batch in batches[0])
    for shared, alone in zip(*batches, strict=True):
        assert torch.equal(shared.faces, alone.faces)
        assert torch.equal(shared.samples, alone.samples)


def train_rank(rank: int, name: str, head: dict) -> None:
    # So small a rate that rounding stays small: BatchNorm over four faces makes much of it otherwise.
    run(name, head=head, train={"batch_size": 4, "lr": 1e-7})


@pytest.mark.parametrize("head", [{}, LEARNED], ids=["distilled", "learned"])
def test_a_split_run_ends_where_the_replicated_one_does_also_after_going_on(cached, head):
    on_ranks(2, train_rank, "whole", head)
    on_ranks(2, train_rank, "split", head | {"split_classes": True})
    whole, split = final_state("whole"), final_state("split")
    for key, value in whole["head"].items():
        torch.testing.assert_close(split["head"][key], value, rtol=1e-3, atol=5e-4)
    for number, entry in whole["optimiser"]["state"].items():
        momentum = split["optimiser"]["state"][number]["momentum_buffer"]
        difference, size = (momentum - entry["momentum_buffer"]).norm(), entry["momentum_buffer"].norm()
        assert difference < 1e-2 * size + 1e-5, number  # a bias before BatchNorm has rounding for a gradient

    max(Path("runs/split/checkpoints").iterdir()).unlink()
    on_ranks(2, train_rank, "split", head | {"split_classes": True})
    assert equal(final_state("split"), split)
