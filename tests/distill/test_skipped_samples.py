"""Stage two never meets a picture that stage one left out."""

import itertools

import numpy as np

from cache.build import build
from cache.reader import TeacherCache
from common.faces.recordio_dataset import write_recordio_dataset
from common.faces.sources import open_source
from distill.batches.epochs import EpochOrder, kept_samples
from tests.tiny import TinyTeacher, experiment, jpegs

BAD = [0, 3, 17, 33]


def test_an_epoch_visits_every_kept_sample_once_and_no_other(world):
    people = jpegs(7, 5)
    for sample in BAD:
        people[sample // 5][sample % 5] = b"no picture"
    write_recordio_dataset(world / "data" / "faces", people)
    config = experiment(cache={"on_bad_image": "skip"}, train={"batch_size": 1, "epochs": 3})
    cache = TeacherCache(build(config, open_source("data/faces"), TinyTeacher(), threads=1, quiet=True))
    order = EpochOrder(config, kept_samples(len(cache), cache), rank=0, ranks=1)
    assert len(order) == 31
    batches = order.from_step(0)
    for _ in range(3):
        samples, views = (np.concatenate(part) for part in list(zip(*itertools.islice(batches, 31), strict=True))[:2])
        assert sorted(samples) == sorted(set(range(35)) - set(BAD))
        assert np.isfinite(cache.gather(samples, views)).all()
    assert next(batches, None) is None
