"""The caches that the runs of an ablation read: which there are, and making them, of some of the people too."""

import shutil
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from ablate.caches import build_caches, needed_caches
from ablate.machine import OwnPrograms
from ablate.page.savings import faces_spared
from ablate.plan import plan_ablation
from ablate.points import expand, read_ablation
from ablate.results import collect
from ablate.run import run_ablation
from cache.people import sampled_people
from cache.reader import TeacherCache
from common.config import load_config, toml_of
from common.errors import CacheError, ConfigError
from common.faces import open_faces
from common.writers import at_work
from tests.ablate.conftest import CPU, FakePrograms
from tests.distill.conftest import cached, cached_world  # noqa: F401 - fixtures
from tests.tiny import experiment

DATA = Path("data")
HALF = """
[ablate.axes]
"subset.sample" = ["all", 3]
[ablate.cases]
alone = { head = "arcface" }
taught = { head = "adadistill-arcface" }
"""
OWN = OwnPrograms()


@dataclass
class Building(FakePrograms):
    """Seeming trainings over caches that are truly cut out; those to be built are taken from `built`."""

    built: Path = Path("elsewhere")
    asked: list[str] = field(default_factory=list)

    def build(self, file, root, machine):
        self.asked.append("build")
        path = load_config(file).cache_dir
        return ["-c", f"import shutil; shutil.copytree({f'{self.built}'!r}, {f'{path}'!r})"]

    def cut(self, file, root, options, out):
        self.asked.append(" ".join(options))
        return OWN.cut(file, root, options, out)


def runs_of(path, overrides=()):
    return expand(read_ablation(path, overrides)).runs


def test_some_of_the_people_is_a_cache_cut_out_of_the_point_s_own(written):
    by_label = {run.label: run for run in runs_of(written(HALF))}
    assert list(by_label) == [
        f"{head}, sample={sample}, seed 0" for head in ("alone", "taught") for sample in ("all", 3)
    ]
    half, whole = by_label["taught, sample=3, seed 0"], by_label["taught, sample=all, seed 0"]
    assert f"{half.config.cache_dir}" == half.config.faces.subset == "caches/base-sample3-seed0"
    assert (whole.config.faces.subset, f"{whole.config.cache_dir}") == (None, "caches/base")
    assert len({run.digest for run in by_label.values()}) == 4
    needs = {f"{need.path}": need for need in needed_caches(list(by_label.values()))}
    assert list(needs) == ["caches/base", "caches/base-sample3-seed0"], "a parent comes before what is cut out of it"
    assert [len(need.runs) for need in needs.values()] == [1, 2], "who reads no teacher reads the list of people"


def test_a_run_needs_a_cache_where_only_its_terms_read_the_teacher(written):
    path = written('[ablate.axes]\n"terms.match" = ["off", "cosine"]\n')
    (need,) = needed_caches(runs_of(path))
    assert [run.label for run in need.runs] == ["match=cosine, seed 0"]
    assert f"{need.path}" == "caches/base"
    plan = plan_ablation(path, DATA, (), CPU)
    assert "caches/base: cache missing: give --build (BUILD=1)" in plan.missing
    assert ("cache", "caches/base: missing, read by 1 runs") in plan.facts


def test_a_cache_that_is_only_cut_from_and_caches_read_besides_are_needed_too(written):
    text = '[ablate.cases]\nhalf = { subset = { first = 3 }, cache = { also = ["caches/more"] } }\n'
    path = written(text, head="adadistill-arcface")
    needs = needed_caches(runs_of(path))
    assert [(f"{need.path}", len(need.runs), need.can_be_made) for need in needs] == [
        ("caches/base", 0, True),
        ("caches/base-first3", 1, True),
        ("caches/more", 0, False),
        ("caches/more-first3", 1, True),
    ]
    with pytest.raises(CacheError, match=r"caches/more: cache missing: no run of this ablation builds it"):
        run_ablation(path, DATA, (), CPU, build=True, programs=Building())


@pytest.mark.parametrize(
    ("subset", "message"),
    [
        ("{ sample = 3, first = 3 }", "subset: say one of sample, first, people"),
        ("{ first = 3, seed = 1 }", "subset: seed has no effect without a sample"),
        ("{ sample = 0 }", "subset.sample"),
        ("{ sampel = 3 }", "subset.sampel"),
        ('{ people = "nowhere.txt" }', "nowhere.txt: the people of a subset cannot be read"),
    ],
)
def test_a_subset_that_is_none_is_refused_by_name(written, subset, message):
    with pytest.raises(ConfigError, match=message):
        runs_of(written(f"[ablate.cases]\nhalf = {{ subset = {subset} }}\n"))


def test_another_list_of_people_is_another_run(written):
    path = written('[ablate.cases]\nlisted = { subset = { people = "some.txt" } }\n')
    Path("some.txt").write_text("1\n2\n")
    before = runs_of(path)[0]
    Path("some.txt").write_text("1\n3\n")
    assert runs_of(path)[0].digest != before.digest
    assert before.config.faces.subset.startswith("caches/base-some-")


@pytest.fixture
def study(cached, monkeypatch) -> Path:  # noqa: F811
    """An ablation in a world whose cache is not where it is looked for, but in `elsewhere`."""
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parents[2]}")
    shutil.move("caches/tiny", "elsewhere")
    Path("base.toml").write_text(toml_of(experiment(name="base", evaluate={"sets": {}})))
    path = Path("study.toml")
    path.write_text(f'extends = "base.toml"\nname = "study"\n{HALF}')
    return path


def test_build_makes_what_is_missing_and_cuts_out_of_it_the_people_asked_for(study, capsys):
    plan = plan_ablation(study, DATA, (), CPU)
    assert [text.partition(" (")[0] for text in plan.missing] == [
        "caches/base: cache missing: give --build",
        "caches/base-sample3-seed0: cache missing: give --build",
    ]
    assert plan_ablation(study, DATA, (), CPU, build=True).missing == []
    programs = Building(steps=30)
    assert run_ablation(study, DATA, (), CPU, build=True, programs=programs) == 0
    assert programs.asked == ["build", "--sample 3 --seed 0"]
    assert "cutting it out of caches/base" in capsys.readouterr().out
    half = next(run for run in runs_of(study) if run.label == "taught, sample=3, seed 0")
    whole, cut = TeacherCache("caches/base"), TeacherCache(half.config.cache_dir)
    rows = np.flatnonzero(np.isin(whole.labels, sampled_people(7, 3, 0)))
    np.testing.assert_array_equal(cut.gather(np.arange(15), 0), whole.gather(rows, 0))
    source = open_faces(half.config, DATA)
    np.testing.assert_array_equal(source.labels, cut.labels)
    done = collect(study, DATA)
    assert done.caches.keys() == {"caches/base", "caches/base-sample3-seed0"}
    read, embedded = 2 * 30 * half.config.train.batch_size, 35 * whole.manifest["layout"]["views"]
    assert faces_spared(done.runs, list(done.caches)) == read - embedded, "rows cut out were embedded once"
    assert run_ablation(study, DATA, (), CPU, build=True, programs=programs) == 0
    assert len(programs.asked) == 2, "nothing is made twice"


def test_what_cannot_be_built_fails_its_runs_with_what_is_cut_out_of_it_and_no_others(study, capsys):
    programs = Building(built=Path("not-there"))
    assert run_ablation(study, DATA, (), CPU, build=True, programs=programs) == 1
    failed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("failed: ")]
    assert len(failed) == 3
    assert all("caches/base: the cache could not be built (status 1)" in line for line in failed)
    assert programs.asked == ["build"]
    assert [run.label for run in runs_of(study) if (run.config.run_dir / "summary.json").exists()] == [
        "alone, sample=all, seed 0"
    ]


def test_who_comes_second_waits_until_a_cache_is_cut_out(study, monkeypatch):
    shutil.copytree("elsewhere", "caches/base")
    half = Path("caches/base-sample3-seed0")
    needs, programs = needed_caches(runs_of(study)), Building()
    with ExitStack() as other:
        other.enter_context(at_work(half, "a subset"))

        def as_the_other_ends(seconds: float) -> None:
            shutil.copytree("elsewhere", half)
            other.close()

        monkeypatch.setattr("ablate.caches.time.sleep", as_the_other_ends)
        assert build_caches(needs, DATA, CPU, programs) == {}
    assert programs.asked == [], "the other has made it"
