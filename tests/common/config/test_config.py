"""Experiment files: what is refused, and with which line."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from common.config import Config, HeadConfig
from common.config.file import load_config, toml_of
from common.errors import ConfigError
from tests.tiny import experiment

RECIPES = sorted((Path(__file__).parents[3] / "configs").glob("*.toml"))
BASE = 'name = "a"\nteacher = "org/model"\n[faces]\npath = "faces"\n'


@pytest.fixture
def write(tmp_path):
    def write(text: str, name: str = "a.toml") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda p: p.stem)
def test_recipes_load_and_their_resolved_text_reads_back_equal(recipe, write):
    config = load_config(recipe)
    assert load_config(write(toml_of(config))) == config


@pytest.mark.parametrize(
    ("text", "line", "match"),
    [
        ("[head]\nmargn = 'arcface'\n", 6, "head.margn: unknown key; did you mean margin?"),
        ("[train]\n\nepochs = 'many'\n", 7, "train.epochs: Input should be a valid integer.*not 'many'"),
        ("[train]\nepochs = 0\n", 6, "train.epochs"),
        ("[head]\nmargin = 'cosface'\nh = 0.5\n", 7, "h has no effect with margin = 'cosface'"),
        ("[head]\nmargin = 'cosface'\ngeometry = 'live'\n", 7, "geometry = 'live' needs margin = 'adaface'"),
        ("[cache]\nshard_rows = 100\nchunk_rows = 64\n", 6, r"shard_rows \(100\) must be a multiple"),
        ("[views]\ncount = 3\n", 6, r"views: count = 3: policy 'flip' has exactly 2"),
        ("[views]\nseed = 1\ncrop_area = [0.5, 1]\n", 7, "crop_area has no effect with policy = 'flip'"),
        ("[views]\npolicy = 'adaface'\ncrop_area = [0.5, 0]\n", 7, "views.crop_area"),
        ("[haed]\n", 5, "haed: unknown key; did you mean head?"),
        ("[train]\nschedule = 'onecycle'\nwarmup_epochs = 3\n", 7, "warmup_epochs has no effect"),
        ("[train]\nschedule = 'cosine'\nmilestones = [3]\n", 7, "milestones has no effect"),
        ("[train]\npower = 3.0\n", 6, "power has no effect with schedule = 'step'"),
        ("[train]\nbatch_size = 10\naccumulate = 4\n", 7, r"accumulate \(4\) must divide batch_size \(10\)"),
    ],
)
def test_what_is_wrong_is_reported_with_its_line(write, text, line, match):
    path = write(BASE + text)
    with pytest.raises(ConfigError, match=match) as error:
        load_config(path)
    assert f"{path}:{line}:" in str(error.value)


def test_text_that_is_no_toml_names_the_line(write):
    with pytest.raises(ConfigError, match=r"a\.toml: not TOML: .*line 1"):
        load_config(write("name = = 3\n"))


def test_a_missing_file_lists_those_that_are_there(write, tmp_path):
    write(BASE)
    with pytest.raises(ConfigError, match=r"b\.toml: no such configuration file \(there are: .*a\.toml\); set CONFIG="):
        load_config(tmp_path / "b.toml")


def test_overrides_change_single_values_and_are_checked(write):
    path = write(BASE)
    config = load_config(path, ["train.epochs=3", "name=other", "teacher.revision=abc", "faces.path=x/y"])
    assert (config.train.epochs, config.name, config.faces.path) == (3, "other", "x/y")
    assert config.teacher is not None
    assert (config.teacher.weights, config.teacher.revision) == ("org/model", "abc")
    with pytest.raises(ConfigError, match=r"--set train.epoch: unknown key; did you mean epochs?"):
        load_config(path, ["train.epoch=3"])
    with pytest.raises(ConfigError, match=r"write section.key=value"):
        load_config(path, ["train.epochs"])


def test_a_file_may_change_single_values_of_another(write):
    write(BASE + "[train]\nepochs = 5\nlr = 0.2\n")
    config = load_config(write('extends = "a.toml"\nname = "b"\n[train]\nlr = 0.3\n', "b.toml"))
    assert (config.name, config.train.epochs, config.train.lr) == ("b", 5, 0.3)


def test_a_file_that_extends_itself_is_refused(write):
    write('extends = "b.toml"\n', "a.toml")
    with pytest.raises(ConfigError, match="extends itself"):
        load_config(write('extends = "a.toml"\n', "b.toml"))


def test_a_head_that_reads_a_teacher_needs_one(write):
    with pytest.raises(ConfigError, match="head reads a teacher, but there is none"):
        load_config(write('name = "a"\n[faces]\npath = "faces"\n'))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("[train]\nevaluate_every = 1\n", "train.evaluate_every needs evaluate.sets"),
        (
            "[head]\ncenters = 'learned'\nsplit_classes = true\n[train]\nprecision = 'float16'\n",
            "does not go with split learned centres",
        ),
        ("[head]\ncenters = 'learned'\n[train]\nverify = 'all'\n", "train.verify has no effect"),
        (
            "[train]\nevaluate_every = 1\nbest_by = 'cfp.accuracy'\n[evaluate.sets]\nlfw = 'lfw.bin'\n",
            r"best_by = 'cfp.accuracy' names no set: write SET.METRIC, SET one of \['lfw'\]",
        ),
    ],
)
def test_training_options_without_effect_are_refused(write, text, match):
    with pytest.raises(ConfigError, match=match):
        load_config(write(BASE + text))


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(TEXT, TEXT, st.dictionaries(TEXT, TEXT, max_size=3), st.floats(1e-300, 1e300), st.lists(TEXT, max_size=2))
@example("\r", "\x1b]0;x\x07", {"\x7f": "\u2028\x85"}, 0.1, ['""', "''\\"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
def test_every_text_and_number_reads_back_from_the_resolved_file(tmp_path, path, origin, sets, lr, also):
    config = experiment(
        faces={"path": path, "origin": origin}, train={"lr": lr}, evaluate={"sets": sets}, cache={"also": also}
    )
    file = tmp_path / "config.toml"
    file.write_text(toml_of(config), encoding="utf-8")
    assert load_config(file) == config


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[train]\nepochs = true\n", "train.epochs"),
        ("[train]\nepochs = '2'\n", "train.epochs"),
        ("[train]\nepochs = 2.0\n", "train.epochs"),
        ("[train]\nlr = '0.1'\n", "train.lr"),
        ("[train]\nlr = true\n", "train.lr"),
        ("[train]\ncompile = 1\n", "train.compile"),
        ("[train]\ncompile = 'yes'\n", "train.compile"),
        ("[train]\nmilestones = [1, true]\n", "train.milestones.1"),
        ("[train]\nmilestones = 3\n", "train.milestones"),
        ("[head]\nh = nan\n", "head.h"),
        ("[head]\nnorm_mean = -inf\n", "head.norm_mean"),
        ("[train]\nlr = inf\n", "train.lr"),
        ("[train]\nlr = 1" + 400 * "0" + "\n", "train.lr"),
        ("[evaluate]\nfar = [nan]\n", "evaluate.far.0"),
        ("[views]\npolicy = 'adaface'\ncount = 1073741824\n", "views.count: .*less than or equal to 1024"),
        ("[cache]\nshard_rows = 4294967296\nchunk_rows = 1\n", "cache.shard_rows"),
        ("[cache]\nworkers = 1000000\n", "cache.workers"),
        ("[cache]\npath = 7\n", "cache.path"),
        ("[head]\nrecipe = ['arcface']\n", "head.recipe"),
        ("[student]\nbackbone = 2024-01-01\n", "student.backbone"),
        ("[evaluate.sets]\nlfw = ['a.bin']\n", "evaluate.sets.lfw"),
        ("[cache]\npath = 'a\\u0000b'\n".replace("'", '"'), "cache.path: .*holds a NUL"),
        ("[student]\nbackbone" + ".a" * 3000 + " = 1\n", "student.backbone"),
    ],
)
def test_no_value_of_another_type_is_taken_for_one(write, text, key):
    with pytest.raises(ConfigError, match=rf"a\.toml(:\d+)?: {key}") as error:
        load_config(write(BASE + text))
    assert len(str(error.value)) < 400
    assert "\n" not in str(error.value)


def test_whole_numbers_will_do_for_fractions_and_lists_for_tuples(write):
    config = load_config(write(BASE + "[train]\nlr = 1\nmilestones = [2, 3]\n"))
    assert (config.train.lr, config.train.milestones) == (1.0, (2, 3))


def test_an_epoch_without_a_step_is_refused(write):
    text = BASE + "samples = 99\n[train]\nbatch_size = 100\n"
    with pytest.raises(ConfigError, match=r"train\.batch_size = 100 leaves no step in an epoch of 99 samples"):
        load_config(write(text))
    assert load_config(write(text.replace("99", "100"))).faces.samples == 100
    assert load_config(write(text.replace("99", "99\nsubset = 'caches/x'"))).faces.samples == 99


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"name = '\0'\n", "not TOML: .*line 1"),
        (b"name = " + b"1" * 5000 + b"\n", "not TOML: "),
        (b"name = " + b"[" * 5000 + b"\n", "nested too deeply"),
        (b"name = " + b"{a=" * 5000 + b"\n", "nested too deeply"),
        (b"name = '\xff'\n", "not UTF-8 at byte 8"),
        (b"#" * (1 << 20) + b"\n", "1,048,577 bytes, more than the 1,048,576"),
        (b'extends = "a\\u0000"\n', "extends must be the name of a file"),
    ],
)
def test_bytes_that_are_no_experiment_are_one_line(tmp_path, content, match):
    path = tmp_path / "a.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=rf"a\.toml: {match}"):
        load_config(path)


def test_what_is_no_regular_file_is_neither_read_nor_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.toml")
    (tmp_path / "folder.toml").mkdir()
    for path in (tmp_path / "pipe.toml", tmp_path / "folder.toml", Path("/dev/zero")):
        with pytest.raises(ConfigError, match=f"{path}: .*(not a regular file|Is a directory).*: set CONFIG="):
            load_config(path)


def test_an_override_is_one_value_whatever_it_holds(write):
    path = write(BASE)
    assert load_config(path, ["faces.path=1\nw = 2"]).faces.path == "1\nw = 2"
    assert load_config(path, ["faces.path=a = [b"]).faces.path == "a = [b"
    for text, match in {
        "train.epochs=true": "--set train.epochs: ",
        "train.lr=nan": "--set train.lr: ",
        "faces.path=\udcff": "--set faces.path: .*not UTF-8",
        "train.epochs=" + "7" * 5000: "--set train.epochs: ",
    }.items():
        with pytest.raises(ConfigError, match=match):
            load_config(path, [text])


def test_the_default_recipe_is_the_published_one():
    config = load_config(Path(__file__).parents[3] / "configs" / "ms1mv2.toml")
    assert (config.faces.samples, config.faces.identities) == (5_822_653, 85_742)
    head = HeadConfig(geometry="live", s=64, m=0.4, h=0.333, t_alpha=0.01, geometry_w=1, geometry_k=3)
    assert config.head == head
    train = config.train
    assert (train.epochs, train.batch_size, train.lr, train.lr_batch) == (26, 384, 0.1, 512)
    assert (train.milestones, train.warmup_epochs, train.gradient_norm) == ((8, 14, 20, 25), 1, 5.0)
    pairs = ("lfw", "cfp_fp", "cfp_ff", "agedb_30", "calfw", "cplfw", "vgg2_fp")
    assert tuple(config.evaluate.sets) == (*pairs, "ijbb", "ijbc", "tinyface")


def test_every_option_is_known_here():
    """A new option changes what experiment files may say: it belongs in docs/configuration.md, too."""
    documented = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text()

    def options(section: type[BaseModel]) -> list[str]:
        return list(section.model_fields)

    sections = {
        name: kind
        for name, field in Config.model_fields.items()
        for kind in getattr(field.annotation, "__args__", (field.annotation,))
        if isinstance(kind, type) and issubclass(kind, BaseModel)
    }
    missing = [
        f"{name}.{key}" for name, kind in sections.items() for key in options(kind) if f"`{key}`" not in documented
    ]
    assert not missing


def test_a_bare_name_is_that_file_of_configs_unless_such_a_file_is_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("configs").mkdir()
    Path("configs/lfw.toml").write_text(BASE)
    assert load_config("lfw") == load_config("configs/lfw.toml")
    Path("lfw").write_text(BASE.replace('name = "a"', 'name = "here"'))
    assert load_config("lfw").name == "here"
    with pytest.raises(ConfigError, match=r"^lfq: no such configuration file"):
        load_config("lfq")


def test_the_resolved_configuration_of_a_run_is_an_experiment_file(write):
    config = load_config(write(BASE), ["train.epochs=3"])
    assert load_config(write(toml_of(config), "config.toml"), ["train.epochs=4"]).train.epochs == 4
    assert load_config(write(toml_of(config), "config.toml")) == config


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["train.batch_size=64"], "--set train.batch_size: train.batch_size = 64 leaves no step"),
        (["train.batch_size=64", "train.seed=3"], "--set train.batch_size: train.batch_size = 64 leaves no step"),
        (["cache.shard_rows=100"], "--set cache.shard_rows: cache: shard_rows (100) must be a multiple of chunk_rows"),
        (["foo.bar=1"], "--set foo.bar: foo: unknown key"),
        (["evaluate.sets.lfw=3"], "--set evaluate.sets.lfw: Input should be a valid string"),
        (["head.h=0.5", "head.margin=cosface"], "--set head.h head.margin: head: h has no effect"),
    ],
)
def test_what_a_set_made_wrong_is_never_said_of_a_file(write, given, told):
    base = write(BASE + "[cache]\nshard_rows = 128\nchunk_rows = 64\n[train]\nbatch_size = 8\n")
    path = write(f'extends = "{base.name}"\nfaces = {{ path = "x", samples = 60 }}\n', "b.toml")
    with pytest.raises(ConfigError) as error:
        load_config(path, given)
    assert str(error.value).startswith(told)
    assert ".toml" not in str(error.value)


def test_what_is_wrong_in_the_file_stays_the_files_beside_a_set(write):
    with pytest.raises(ConfigError) as error:
        load_config(write(BASE + "[train]\nepochs = 0\n"), ["head.s=0"])
    of_set, of_file = str(error.value).split("; ")
    assert of_set.startswith("--set head.s: ")
    assert "a.toml:6: train.epochs: " in of_file
    assert "--set" not in of_file


def test_none_takes_back_what_is_optional_and_nothing_else(write):
    path = write(BASE.replace('path = "faces"', 'path = "faces"\nsamples = 10\norigin = "there"'))
    config = load_config(path, ["faces.samples=none", "views.policy=none", "train.batch_size=20"])
    assert (config.faces.samples, config.faces.origin, config.views.policy) == (None, "there", "none")
    alone = ["teacher=none", "head.centers=learned", "train.batch_size=5"]
    assert load_config(path, alone).teacher is None
    extending = write('extends = "a.toml"\nteacher = "none"\nhead = "arcface"\n[faces]\nsamples = "none"\n', "b.toml")
    assert (load_config(extending).teacher, load_config(extending).faces.samples) == (None, None)
    with pytest.raises(ConfigError, match=r"--set train.epochs: Input should be a valid integer.*not 'none'"):
        load_config(path, ["train.epochs=none", "train.batch_size=5"])
