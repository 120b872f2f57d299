"""Batches half of which are people: what is in them, and that nothing but seed, epoch and step decides it."""

from collections import Counter

import numpy as np
import pytest

from common.errors import ConfigError
from distill.batches.epochs import EpochOrder
from tests.tiny import experiment

PHOTOS = 3
LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(12), [5, 2, 7, 3, 9, 4, 1, 6, 3, 8, 2, 5]))
SAMPLES = np.delete(np.arange(len(LABELS)), [4, 11])


def order(rank: int = 0, ranks: int = 1, batch: int = 16, **head) -> EpochOrder:
    train = {"batch_size": batch // ranks, "epochs": 3, "photos_a_person": PHOTOS}
    return EpochOrder(experiment(train=train, head=head), SAMPLES, rank, ranks, LABELS)


def test_half_of_a_batch_is_people_with_photos_each_none_twice():
    batches = [wanted.samples for wanted in order().from_step(0)]
    assert len(batches) == 3 * (len(SAMPLES) // 16)
    balanced = order()._balanced._balanced
    assert balanced.sum() == 2 * PHOTOS
    for samples in batches:
        assert np.isin(samples, SAMPLES).all()
        drawn = samples[balanced]
        assert len(set(drawn.tolist())) == len(drawn)
        assert set(Counter(LABELS[drawn].tolist()).values()) == {PHOTOS}


def test_the_other_half_shows_no_photo_twice_an_epoch():
    balanced = order()._balanced._balanced
    epoch = np.concatenate([wanted.samples[~balanced] for wanted in order().from_step(0) if wanted.epoch == 1])
    assert len(set(epoch.tolist())) == len(epoch)


def test_over_the_epochs_all_people_with_enough_photos_are_drawn_about_equally_often():
    half = order()._balanced
    drawn = half._drawn(400, 1)
    counts = Counter(LABELS[drawn.reshape(-1)].tolist())
    enough = [person for person, photos in Counter(LABELS[SAMPLES].tolist()).items() if photos >= PHOTOS]
    assert sorted(counts) == sorted(enough)
    assert max(counts.values()) < 1.3 * min(counts.values())
    photos = {person: set(drawn[LABELS[drawn] == person].tolist()) for person in enough}
    assert all(len(photos[person]) == (LABELS[SAMPLES] == person).sum() for person in enough)


@pytest.mark.parametrize("split", [False, True])
def test_ranks_share_the_batches_of_one_process_and_a_restart_goes_on_with_them(split):
    alone = [wanted.samples for wanted in order().from_step(0)]
    ranks = [order(rank, 2, split_classes=split) for rank in range(2)]
    for number, pair in enumerate(zip(*(each.from_step(2) for each in ranks), strict=True)):
        if split:
            assert all(np.array_equal(wanted.samples, alone[2 + number]) for wanted in pair)
        else:
            assert np.array_equal(np.concatenate([wanted.samples for wanted in pair]), alone[2 + number])
    for each in ranks:
        assert 0 < each._balanced._balanced[:8].sum() < 8


def test_people_there_are_too_few_of_are_refused():
    with pytest.raises(ConfigError, match=r"train\.photos_a_person = 3: half of a global batch of 80 takes 13 people"):
        order(batch=80)
    with pytest.raises(ConfigError, match="takes 0 people"):
        order(batch=4)
    with pytest.raises(ValueError, match="photos_a_person = 1 makes no pair"):
        experiment(train={"photos_a_person": 1})
