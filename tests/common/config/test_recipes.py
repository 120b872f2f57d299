"""Recipes by name: the values of the reference runs that tests/distill/head/test_head_golden.py plays step by step."""

from pathlib import Path

import pytest

from common.config import Config, HeadConfig
from common.config.file import load_config, toml_of
from common.config.recipes import RECIPES
from common.errors import ConfigError
from tests.distill.head.golden_heads import CASES, section_of

REFERENCES = {
    "arcface": "arcface_sgd",
    "cosface": "cosface_sgd",
    "adaface": "adaface_repo_sgd",
    "arcdistill": "aml_arcface_frozen",
    "cosdistill": "aml_cosface_frozen",
    "adadistill-arcface": "composed_AdaptiveAArcFace_aw1",
    "adadistill-arcface-adaptive": "composed_AdaptiveAArcFace_aw0",
    "adadistill-cosface": "composed_AdaptiveACosFace_aw1",
    "adadistill-cosface-adaptive": "composed_AdaptiveACosFace_aw0",
    "adadistill-adaface": "aada_d512_nogeom_aw1",
    "adadistill-adaface-geometry": "aada_d512_geom_shipped",
}


@pytest.mark.parametrize("name", REFERENCES)
def test_a_recipe_has_the_values_of_its_reference(name):
    of_case = HeadConfig.model_validate(section_of(CASES[REFERENCES[name]])).model_dump()
    of_recipe = HeadConfig(recipe=name).model_dump()
    assert of_recipe.pop("recipe") == name
    of_case.pop("recipe")
    assert of_recipe == of_case


def test_every_recipe_but_the_cached_one_has_a_reference():
    """No public implementation reads a cached confidence; it differs from the live recipe in that alone."""
    assert set(RECIPES) - set(REFERENCES) == {"adadistill-adaface-confidence"}
    live, cached = RECIPES["adadistill-adaface-geometry"], RECIPES["adadistill-adaface-confidence"]
    assert {**live, "geometry": "cached"} == cached


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text('name = "a"\nteacher = "t.onnx"\n' + text)
    return path


def test_a_recipe_may_be_one_line_and_values_beside_it_override(tmp_path):
    config = load_config(write(tmp_path, "a.toml", 'head = "arcface"\nfaces = { path = "f" }\n'), ["head.m=0.3"])
    assert (config.head.margin, config.head.centers, config.head.m, config.head.s) == ("arcface", "learned", 0.3, 64)


def test_naming_a_recipe_replaces_the_base_files_head(tmp_path):
    write(tmp_path, "base.toml", '[faces]\npath = "f"\n[head]\ngeometry = "live"\ngeometry_k = 2.0\n')
    child = tmp_path / "child.toml"
    child.write_text('extends = "base.toml"\nhead = "cosdistill"\n')
    assert load_config(child).head == HeadConfig(recipe="cosdistill")
    assert load_config(tmp_path / "base.toml", ["head=cosdistill"]).head == HeadConfig(recipe="cosdistill")


def test_a_child_changes_single_values_of_its_bases_recipe(tmp_path):
    write(tmp_path, "base.toml", 'head = "adaface"\nfaces = { path = "f" }\n')
    child = tmp_path / "child.toml"
    child.write_text('extends = "base.toml"\n[head]\nm = 0.25\n')
    assert load_config(child).head == HeadConfig(recipe="adaface", m=0.25)


def test_a_resolved_recipe_reads_back_the_same(tmp_path):
    for name in RECIPES:
        config = Config.model_validate({"name": "x", "faces": {"path": "f"}, "teacher": "t", "head": name})
        path = tmp_path / f"{name}.toml"
        path.write_text(toml_of(config))
        assert load_config(path) == config


def test_an_unknown_recipe_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(ConfigError, match=r"a\.toml:3: head: recipe 'arcfase' is unknown; known are arcface"):
        load_config(write(tmp_path, "a.toml", 'head = "arcfase"\nfaces = { path = "f" }\n'))


def test_the_configuration_page_names_every_recipe():
    page = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text()
    assert [name for name in RECIPES if f"`{name}`" not in page] == []
