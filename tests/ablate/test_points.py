"""Which runs an ablation file means: points, names, digests, what is collapsed or refused."""

import re
from pathlib import Path

import pytest

from ablate.points import expand, read_ablation
from common.config import load_config
from common.errors import ConfigError

ABLATIONS = sorted((Path(__file__).parents[2] / "configs" / "ablations").glob("*.toml"))
HEADS = """
[ablate]
seeds = [0, 1]
baseline = "adaface"
metrics = ["pairs.accuracy"]
[ablate.axes]
"head.geometry_k" = [1.0, 3.0]
[ablate.cases]
arcface = { head = "arcface" }
adaface = { head = "adadistill-adaface" }
geometry = { head = "adadistill-adaface-geometry" }
"""


def points(path, ranks=1, overrides=()):
    return expand(read_ablation(path, overrides), ranks)


def seeds(expansion):
    return [run.seed for run in expansion.runs]


def by_label(expansion):
    return {run.label: run for run in expansion.runs}


def test_an_axis_without_effect_in_a_case_is_collapsed_and_named(written):
    found = points(written(HEADS))
    assert found.points == ["arcface", "adaface", "geometry, geometry_k=1", "geometry, geometry_k=3"]
    assert [run.seed for run in found.runs] == [0] * 4 + [1] * 4
    assert len({run.digest for run in found.runs}) == 8
    assert found.baseline == "adaface"
    assert sorted(found.notes) == [
        "adaface, geometry_k=1: head.geometry_k without effect there, the same runs as adaface",
        "adaface, geometry_k=3: the same runs as adaface",
        "arcface, geometry_k=1: head.geometry_k without effect there, the same runs as arcface",
        "arcface, geometry_k=3: the same runs as arcface",
    ]


@pytest.mark.parametrize("on", [False, True])
def test_a_term_turned_off_by_an_axis_leaves_its_weight_without_effect_whatever_the_base_has(written, on):
    text = """
[ablate.axes]
"terms.match" = ["off", "cosine"]
"terms.match_weight" = [4.0, 16.0]
"""
    path = written(text, terms={"match": "cosine", "match_weight": 4.0} if on else {})
    if on:  # the axis that is idle is dropped, never the one that makes it so
        Path("base.toml").write_text(Path("base.toml").read_text().replace("match_weight = 4.0\n", ""))
    found = points(path)
    assert found.points == ["match=off", "match=cosine, match_weight=4", "match=cosine, match_weight=16"]
    assert [run.config.terms.match for run in found.runs] == ["off", "cosine", "cosine"]
    assert found.notes == [
        f"match=off, match_weight={weight}: terms.match_weight without effect there, the same runs as match=off"
        for weight in (4, 16)
    ]


def test_an_option_of_a_case_that_an_axis_makes_idle_is_refused_with_the_point_s_name(written):
    text = '[ablate.axes]\n"terms.match" = ["off", "cosine"]\n[ablate.cases]\na = { terms.match_weight = 4.0 }\n'
    with pytest.raises(ConfigError, match=r"a, match=off: .*match_weight has no effect with match = 'off'"):
        points(written(text))


def test_a_teacher_reaches_the_students_whose_terms_read_it(written):
    text = '[ablate.axes]\n"terms.match" = ["off", "cosine"]\n'
    alone, taught = points(written(text)).runs
    assert (alone.config.reads_teacher, taught.config.reads_teacher) == (False, True)
    for change in ("teacher.weights=b.onnx", "cache.dtype=int8", "cache.path=elsewhere"):
        other_alone, other_taught = points(written(text), 1, [change]).runs
        assert other_alone.digest == alone.digest, "no teacher reaches it"
        assert other_taught.digest != taught.digest


def test_a_run_is_the_experiment_that_its_changes_make_of_the_base(written):
    run = by_label(points(written(HEADS)))["geometry, geometry_k=1, seed 1"]
    changes = ["head=adadistill-adaface-geometry", "head.geometry_k=1.0", "train.seed=1", f"name={run.config.name}"]
    expected = load_config("base.toml", [*changes, "cache.path=caches/base"])
    assert run.config == expected
    assert run.config.name == f"study-geometry-geometry_k-1-seed1-{run.digest}"


def test_renaming_a_case_or_adding_a_seed_keeps_every_run_and_its_folder(written, tmp_path):
    before = points(written(HEADS))
    for run in before.runs:
        run.config.run_dir.mkdir(parents=True)
    renamed = HEADS.replace("geometry = {", "geo = {").replace("[0, 1]", "[2, 0, 1]")
    after = points(written(renamed, name="other"))
    assert {run.config.run_dir for run in before.runs} < {run.config.run_dir for run in after.runs}
    new = [run for run in after.runs if not run.config.run_dir.exists()]
    assert {run.seed for run in new} == {2}


@pytest.mark.parametrize(
    "change", ["train.lr=0.06", "head.m=0.41", "faces.path=others", "train.batch_size=4", "teacher.weights=b.onnx"]
)
def test_a_changed_recipe_is_another_run(written, change):
    path = written(HEADS.replace("arcface = {", "none = {").replace('"arcface"', '"adadistill-arcface"'))
    assert not {run.digest for run in points(path).runs} & {run.digest for run in points(path, 1, [change]).runs}


def test_what_does_not_decide_numbers_is_the_same_run(written):
    path = written(HEADS)
    same = points(path, 1, ["train.workers=1", "train.log_every=7", "evaluate.batch_size=3"])
    assert [run.digest for run in points(path).runs] == [run.digest for run in same.runs]
    assert {run.digest for run in points(path).runs}.isdisjoint(run.digest for run in points(path, ranks=2).runs)


def test_a_teacher_reaches_only_the_students_that_read_it(written):
    cases = 'cases = { alone = { head = "arcface" }, taught = { head = "adadistill-arcface" } }'
    found = points(written(f'[ablate]\n{cases}\n[ablate.axes]\nteacher = ["a.onnx", "b.onnx"]\n'))
    assert found.points == ["alone, teacher=a.onnx", "taught, teacher=a.onnx", "taught, teacher=b.onnx"]
    assert found.notes == ["alone, teacher=b.onnx: the same runs as alone, teacher=a.onnx"]
    caches = {run.point: f"{run.config.cache_dir}" for run in found.runs}
    assert len({caches["taught, teacher=a.onnx"], caches["taught, teacher=b.onnx"]}) == 2, "each teacher has its cache"


def test_the_cache_is_that_of_the_base_until_its_rows_would_differ(written):
    path = written('[ablate.axes]\n"cache.dtype" = ["float16", "int8"]\n', head="adadistill-arcface")
    first, second = (f"{run.config.cache_dir}" for run in points(path).runs)
    assert first == "caches/base"
    assert re.fullmatch(r"caches/base-[0-9a-f]{10}", second)


def test_an_excluded_point_is_named_and_not_even_checked(written):
    text = HEADS.replace("[ablate.axes]", '[[ablate.exclude]]\ncase = "arcface"\n[ablate.axes]')
    found = points(written(text.replace('head = "arcface"', 'head = "arcface", "head.geometry" = "live"')))
    assert "arcface, geometry_k=1: excluded" in found.notes
    assert "arcface" not in found.points


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[ablate.axes]\n"train.log_every" = [1, 2]\n', r"study.toml: ablate.axes.train.log_every changes no number"),
        ('[ablate.axes]\n"train.lrr" = [1, 2]\n', r"study.toml: lrr=1: train.lrr: unknown key; did you mean lr\?"),
        ('[ablate.axes]\n"head.geometry_k" = [1.0, 2.0]\n', r"geometry_k changes no number of any run"),
        ('[ablate]\nbaseline = "x"\ncases = { a = {}, b = { head.m = 0.3 } }\n', r"baseline = 'x' is no point: .*a; b"),
        ('[ablate]\nmetrics = ["lfw.accuracy"]\n', r"ablate.metrics: lfw.accuracy: write SET.METRIC; sets are: pairs"),
        ("[ablate]\nseeds = [1, 1]\n", r"study.toml: ablate.seeds: 1 stands there twice"),
        ("[ablate]\nsedes = [1]\n", r"study.toml: ablate.sedes: unknown key; known here: seeds"),
        ("[ablate]\nexclude = [{ case = 'x' }]\n", r"ablate.exclude: case = 'x' is none of \[\]"),
        ("[ablate]\ncases = { a = { train.seed = 1 } }\n", r"seeds are for ablate.seeds"),
        ("[ablate]\ncases = { a = {} }\nexclude = [{ case = 'a' }]\n", r"leaves no point"),
    ],
)
def test_what_is_wrong_with_an_ablation_is_one_line_with_its_key(written, text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        points(written(text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", ABLATIONS, ids=lambda path: path.stem)
def test_the_ablations_of_this_house_are_runs_of_different_recipes(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = points(path)
    assert len({run.digest for run in found.runs}) == len(found.runs) == len(found.points) * len({*seeds(found)})
    assert (found.notes, found.baseline in found.points) == ([], True)


def test_a_plain_experiment_is_one_run_in_its_own_folder(written):
    written("")
    (run,) = points("base.toml").runs
    assert (run.config, run.digest, run.point) == (load_config("base.toml"), "", "base")
