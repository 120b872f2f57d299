"""Which options may change within a run: all are classified, and those that may change no number change none."""

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from common.config import Config
from common.config.section import Section
from distill.run.decides import DECIDING, FREE, deciding_changes
from distill.train import train
from tests.distill.conftest import EVERY_LINE
from tests.distill.small_runs import CPU, curves, equal, final_state
from tests.tiny import experiment


def leaves(section: type[Section], prefix: str = "") -> Iterator[str]:
    """Dotted names of all options below a section."""
    for name, field in section.model_fields.items():
        kinds = [kind for kind in (field.annotation, *get_args(field.annotation)) if isinstance(kind, type)]
        inner = [kind for kind in kinds if issubclass(kind, Section)]
        yield from (leaf for kind in inner for leaf in leaves(kind, f"{name}.")) if inner else (f"{prefix}{name}",)


def test_every_option_is_said_to_decide_a_trainings_numbers_or_not_to():
    named = [
        f"{section}.{name}".removeprefix(".")
        for table in (DECIDING, FREE)
        for section, names in table.items()
        for name in names.split()
    ]
    assert sorted(named) == sorted(leaves(Config))


def test_a_run_goes_on_to_the_same_numbers_when_free_options_have_changed(cached, stop_at, undisturbed):
    stop_at(5, "free", train=EVERY_LINE)
    changed = {
        "faces": {"path": "faces", "samples": 35, "identities": 7, "origin": "elsewhere"},
        "evaluate": {"batch_size": 3, "flip": False, "workers": 1, "sets": {"none": "none.bin"}, "origin": "elsewhere"},
        "train": {**EVERY_LINE, "workers": 1, "keep_checkpoints": 5, "verify": "all"},
    }
    config = experiment(name="free", **changed).model_dump()
    config["cache"] |= {"path": "caches/tiny", "workers": 7, "batch_size": 11, "check_teacher": False}
    config["cache"] |= {"shard_rows": 64, "chunk_rows": 64}
    config["teacher"]["sha256"] = "0" * 64
    train(Config.model_validate(config), Path("data"), CPU, 1)
    assert equal(final_state("free"), undisturbed[0])
    assert curves("free") == undisturbed[1]


CHANGES = {
    "train.seed": {"train": {"seed": 1}},
    "views.order": {"views": {"order": "cycle"}},
    "head.s": {"head": {"s": 32.0}},
    "teacher.weights": {"teacher": "other.onnx"},
    "train.deterministic": {"train": {"deterministic": True}},
}


@pytest.mark.parametrize(("name", "sections"), CHANGES.items(), ids=CHANGES)
def test_an_option_that_decides_numbers_is_named_with_both_values(name, sections):
    lines = deciding_changes(experiment(), experiment(**sections))
    assert any(line.startswith(f"{name} was ") for line in lines)


def test_a_cache_that_the_head_does_not_read_decides_nothing():
    alone = {"margin": "cosface", "centers": "learned"}
    before = experiment(head=alone, cache={"dtype": "float32"}, teacher=None)
    assert deciding_changes(before, experiment(head=alone)) == []
