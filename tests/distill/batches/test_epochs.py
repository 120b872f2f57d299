"""The order of a run's batches: one after the other over the ends of epochs, each epoch's ready before it begins."""

import threading
import time

import numpy as np
import pytest

from common.faces.epochs import epoch_order
from common.faces.views import view_numbers
from distill.batches import epochs
from distill.batches.epochs import EpochOrder, samples_in_order
from tests.tiny import experiment

KEPT = np.delete(np.arange(35), [3, 20])
STEPS = 4  # of 8 samples


def order(**train) -> EpochOrder:
    return EpochOrder(experiment(train={"epochs": 3, "seed": 5, **train}), KEPT, rank=0, ranks=1)


def test_batches_are_those_of_whole_orders_and_whole_draws_of_views():
    batches = list(order().from_step(0))
    assert len(batches) == 3 * STEPS
    for epoch in range(3):
        whole = KEPT[epoch_order(len(KEPT), epoch, 5)]
        assert np.array_equal(samples_in_order(KEPT, epoch, 5), whole)
        shown = view_numbers(whole, epoch, views_seed=0, train_seed=5, count=2)
        for step, batch in enumerate(batches[epoch * STEPS : (epoch + 1) * STEPS]):
            rows = slice(8 * step, 8 * step + 8)
            assert np.array_equal(batch.samples, whole[rows])
            assert np.array_equal(batch.views, shown[rows])
            assert batch.epoch == epoch


@pytest.mark.parametrize("at_once", [1, 16, 24, 1 << 13])
def test_a_run_goes_on_from_any_step_with_the_batches_it_would_have_had(monkeypatch, at_once):
    whole = list(order().from_step(0))
    monkeypatch.setattr(epochs, "VIEWS_AHEAD", at_once)
    for step in range(3 * STEPS + 1):
        rest = list(order().from_step(step))
        assert len(rest) == 3 * STEPS - step
        for expected, batch in zip(whole[step:], rest, strict=True):
            assert all(np.array_equal(*pair) for pair in zip(expected, batch, strict=True))


def test_the_next_epochs_order_is_made_in_a_thread_while_this_one_is_used(monkeypatch):
    made: dict[int, int] = {}

    def noting(samples, epoch, seed):
        made[epoch] = threading.get_ident()
        return samples_in_order(samples, epoch, seed)

    monkeypatch.setattr(epochs, "samples_in_order", noting)
    batches = order().from_step(1)
    for epoch in (0, 1):
        next(batches)
        until = time.monotonic() + 10
        while epoch + 1 not in made and time.monotonic() < until:
            time.sleep(0.001)
        assert max(made) == epoch + 1  # before the last batch of this epoch was asked for, and no further
        for _ in range(STEPS - 2 + epoch):
            next(batches)
    assert threading.get_ident() not in made.values()
    assert len(list(batches)) == STEPS
    assert max(made) == 2  # there is no fourth epoch


def test_an_order_that_cannot_be_made_raises_where_it_is_asked_for(monkeypatch):
    def without_memory(samples, epoch, seed):
        if epoch == 1:
            raise MemoryError
        return samples_in_order(samples, epoch, seed)

    monkeypatch.setattr(epochs, "samples_in_order", without_memory)
    batches = order().from_step(0)
    assert len([next(batches) for _ in range(STEPS)]) == STEPS
    with pytest.raises(MemoryError):
        next(batches)
