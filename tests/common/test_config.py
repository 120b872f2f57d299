"""Experiment files: what is refused, and with which line."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from common.config import Config
from common.config_file import load_config, toml_of
from common.config_stage_two import HeadConfig
from common.errors import ConfigError

RECIPES = sorted((Path(__file__).parents[2] / "configs").glob("*.toml"))
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


def test_the_default_recipe_is_the_published_one():
    config = load_config(Path(__file__).parents[2] / "configs" / "ms1mv2.toml")
    assert (config.faces.samples, config.faces.identities) == (5_822_653, 85_742)
    head = HeadConfig(geometry="live", s=64, m=0.4, h=0.333, t_alpha=0.01, geometry_w=1, geometry_k=3)
    assert config.head == head
    train = config.train
    assert (train.epochs, train.batch_size, train.lr, train.lr_batch) == (26, 384, 0.1, 512)
    assert (train.milestones, train.warmup_epochs, train.gradient_norm) == ((8, 14, 20, 25), 1, 5.0)
    assert len(config.evaluate.sets) == 7


def test_every_option_is_known_here():
    """A new option changes what experiment files may say: it belongs in docs/configuration.md, too."""
    documented = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()

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
