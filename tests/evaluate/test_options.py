"""Options of the commands reach what they are for, override the experiment's, and are refused where they do nothing."""

import json
from pathlib import Path

import numpy as np
import pytest
import zarr
from click.testing import CliRunner

from common.config import MeasureConfig
from common.embeddings import Embeddings
from common.errors import UserError
from common.faces.evaluation_sets import write_bin
from evaluate import experiment
from evaluate.__main__ import main
from evaluate.batch import evaluate_folder
from evaluate.files import load_bin
from evaluate.models import named_sets
from evaluate.stored import EmbeddingStore
from tests.evaluate.stand_ins import Linear
from tests.evaluate.test_commands_evaluate import invoke, world  # noqa: F401 (a fixture)

pytestmark = pytest.mark.usefixtures("blank_pictures")


@pytest.fixture
def opened(monkeypatch):
    """Every model that is opened, as its ModelConfig, instead of real weights."""
    configs = []

    def open_model(config, root, device, threads):
        configs.append(config)
        model = Linear(dim=6)
        model.describe = lambda: {"name": Path(config.weights).name}
        return model

    monkeypatch.setattr("common.models.named.open_model", open_model)
    monkeypatch.setattr(experiment, "open_model", open_model)
    return configs


def results(folder="r"):
    return json.loads(Path(folder, "results.json").read_text())["results"]


def test_far_and_ranks_take_the_place_of_the_protocols_own(world):  # noqa: F811
    sets = ("--on", "pairs.bin", "--on", "ijb", "--on", "tiny")
    output = invoke("measure", "--model", "stored/good", *sets, "--out", "r", "--far", "0.2,5e-2", "--ranks", "3,2,3")
    found = results()["good"]
    assert list(found["pairs"]["tar_at_far"]) == list(found["ijb"]["N1D1F1"]["tar_at_far"]) == ["0.05", "0.2"]
    assert list(found["tiny"]["rank"]) == list(found["ijb"]["N0D1F1"]["two_galleries"]["rank"]) == ["2", "3"]
    assert "rank 3" in output
    assert "tiny rank-2" in invoke("compare", "r")
    for wrong in (("--far", "1"), ("--far", "0.1,x"), ("--ranks", "0"), ("--precision", "int8")):
        assert "Invalid value" in invoke("measure", "--model", "stored/good", *sets, "--out", "s", *wrong, code=2)


def test_precision_and_compile_go_to_the_model_and_embedding_options_to_its_batches(world, opened):  # noqa: F811
    Path("weights.pt").write_bytes(b"PK")
    options = ("--precision", "bfloat16", "--compile", "--batch-size", "50", "--no-flip", "--workers", "1")
    invoke("measure", "--model", "weights.pt", "--on", "pairs.bin", "--out", "r", *options)
    assert [(config.precision, config.compile, config.channels_last) for config in opened] == [("bfloat16", True, True)]
    invoke("embed", "--model", "weights.pt", "--on", "pairs.bin", "--out", "e")
    assert [(config.precision, config.compile, config.channels_last) for config in opened[1:]] == [
        ("float32", False, False)
    ]


def test_the_batch_command_opens_its_checkpoints_as_told_and_once(world, opened):  # noqa: F811
    Path("run").mkdir()
    Path("run/epoch-1.pt").write_bytes(b"PK")
    command = ("batch", "run", "--on", "pairs.bin", "--on", "lfw", "--suffix", ".pt", "--out", "b", "--far", "0.1")
    output = invoke(*command, "--precision", "bfloat16", "--json")
    assert "skipped lfw: not found: data/lfw.bin" in output
    (row,) = json.loads(Path("b/all.json").read_text())
    assert row["model"] == "epoch-1.pt"
    assert "tar_at_far_0.1" in row
    assert "begun with precision = bfloat16, now it is float32" in invoke(*command, code=2)
    invoke(*command, "--precision", "bfloat16")
    assert [config.precision for config in opened] == ["bfloat16"]


@pytest.mark.parametrize("option", [("--precision", "bfloat16"), ("--compile",), ("--no-flip",)])
def test_what_has_no_effect_on_stored_embeddings_is_refused(world, option):  # noqa: F811
    message = invoke("measure", "--model", "stored/good", "--on", "tiny", "--out", "r", *option, code=2)
    assert "no effect on stored embeddings" in message


def test_embeddings_kept_as_zarr_measure_as_those_kept_as_npz(world):  # noqa: F811
    invoke("embed", "--model", "stored/good", "--on", "tiny", "--on", "ijb", "--out", "z", "--format", "zarr")
    invoke("measure", "--model", "z/good", "--on", "tiny", "--on", "ijb", "--out", "r", "--keep", "again.zarr")
    invoke("measure", "--model", "stored/good", "--on", "tiny", "--on", "ijb", "--out", "s")
    assert results("r") == results("s")
    assert zarr.open_group("again.zarr", mode="r")["good/tiny/rows"].shape == (30, 16)
    assert "gallery: 30 faces" in invoke("search", "--gallery", "z/good/tiny", "--probes", "again.zarr/good/tiny")
    EmbeddingStore.at(Path("few.zarr")).save(
        "m", "tiny", Embeddings(np.ones((3, 2), np.float32), np.ones(3, "f4")), True
    )
    message = invoke("measure", "--model", "few.zarr/m", "--on", "tiny", "--out", "r", code=2)
    assert "few.zarr/m/tiny: 3 embeddings, tiny has 30 pictures" in message


@pytest.fixture
def experiments(world, opened):  # noqa: F811
    """Two experiments with trained students and one set."""
    for name, extra in (("one", "far = [0.1]\nprecision = 'bfloat16'"), ("two", "flip = false\nteacher = false")):
        Path("runs", name).mkdir(parents=True)
        Path("runs", name, "student.safetensors").write_bytes(b"weights")
        Path(f"{name}.toml").write_text(
            f"name = '{name}'\nteacher = 'teacher.onnx'\n[faces]\npath = 'f'\n"
            f"[evaluate]\nbatch_size = 30\n{extra}\n[evaluate.sets]\npairs = 'pairs.bin'\n"
        )
    return opened


def test_run_measures_as_the_experiment_says_unless_the_command_line_says_otherwise(experiments):
    invoke("run", "--config", "one.toml", "--data", ".", "--out", "r")
    assert [config.precision for config in experiments] == ["bfloat16", "float32"]  # the teacher keeps its own
    assert list(results()["one"]["pairs"]["tar_at_far"]) == ["0.1"]
    invoke("run", "--config", "one.toml", "--data", ".", "--out", "r", "--far", "0.3", "--precision", "float32")
    assert [config.precision for config in experiments[2:]] == ["float32", "float32"]
    assert list(results()["one"]["pairs"]["tar_at_far"]) == ["0.3"]


def test_experiments_that_measure_differently_make_no_table_until_told_how(experiments):
    both = ("run", "--config", "one.toml", "--config", "two.toml", "--data", ".", "--out", "r")
    assert "evaluate.flip is True in one and False in two; a table needs one: give --flip" in invoke(*both, code=2)
    invoke(*both, "--flip", "--far", "0.2", "--precision", "float32")
    assert set(results()) == {"one", "two", "teacher (teacher)"}


def test_a_plan_names_a_set_whose_folds_are_unusable_and_embedding_it_goes_on(experiments):
    pictures, issame = load_bin("pairs.bin")
    write_bin("pairs.bin", pictures, np.sort(issame))
    run = ("run", "--config", "one.toml", "--data", ".", "--out", "r")
    told = "pairs.bin: fold 6 of 10 has no pair of different people"
    assert f"MISSING: {told}" in invoke(*run, "--check", code=2)
    assert told in invoke(*run, code=2)
    assert not Path("r").exists()
    invoke("embed", "--model", "runs/one/student.safetensors", "--on", "pairs.bin", "--out", "e")


def test_the_best_student_is_evaluated_beside_the_last_and_both_are_named(experiments):
    Path("runs/one/best.safetensors").write_bytes(b"weights")
    plan = invoke("run", "--config", "one.toml", "--data", ".", "--check")
    assert "runs/one/best.safetensors" in plan
    experiments.clear()  # the plan opens them, too, to say how long they take
    invoke("run", "--config", "one.toml", "--data", ".")
    assert list(results("runs/one/evaluation")) == ["one", "one (best)", "teacher (teacher)"]
    assert [Path(config.weights).name for config in experiments] == [
        "student.safetensors",
        "best.safetensors",
        "teacher.onnx",
    ]


def test_a_table_of_several_experiments_has_its_own_folder(experiments):
    alike = ("--flip", "--far", "0.2", "--precision", "float32", "--data", ".")
    output = invoke("run", "--config", "one.toml", "--config", "two.toml", *alike)
    assert "report in runs/tables/one+two" in output
    assert set(results("runs/tables/one+two")) == {"one", "two", "teacher (teacher)"}
    assert not Path("runs/one/evaluation").exists()


def test_a_batch_goes_on_only_with_the_options_it_was_begun_with(world):  # noqa: F811
    Path("run").mkdir()
    Path("run/epoch-1.pt").write_bytes(b"PK")
    arguments = (Path("run"), ".pt", {"pairs": Path("pairs.bin")}, Path("b"), lambda path: Linear(dim=4))
    evaluate_folder(*arguments, MeasureConfig(far=(0.1,)), tell=lambda line: None)
    told = []
    evaluate_folder(*arguments, MeasureConfig(far=(0.1,), workers=1), tell=told.append)
    assert "already evaluated" in told[0]
    with pytest.raises(UserError, match=r"options\.json: begun with far = \[0\.1\], now it is \[\]"):
        evaluate_folder(*arguments, MeasureConfig(), tell=told.append)
    Path("b/options.json").write_text("[")
    with pytest.raises(UserError, match=r"options\.json: damaged"):
        evaluate_folder(*arguments, MeasureConfig(), tell=told.append)


def test_known_sets_are_found_by_name_in_any_spelling(tmp_path):
    for place in ("lfw.bin", "faces_emore/cfp_fp.bin", "faces_emore/lfw.bin"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).touch()
    (tmp_path / "lfw").mkdir()  # the training faces, not the pairs
    found = named_sets(["LFW", "CFP-FP", "calfw", "small=tinyface_aligned_pad_0.1", "IJBC_0.1"], tmp_path)
    assert found == {
        "LFW": tmp_path / "lfw.bin",
        "CFP-FP": tmp_path / "faces_emore/cfp_fp.bin",
        "calfw": tmp_path / "calfw.bin",
        "small": tmp_path / "tinyface_aligned_pad_0.1",
        "IJBC_0.1": tmp_path / "IJBC_0.1",
    }


def test_every_command_says_what_its_options_are_for():
    for name in ("run", "measure", "embed", "batch", "errors"):
        text = CliRunner().invoke(main, [name, "--help"]).output
        assert {"--precision", "--compile", "--workers", "--batch-size", "--device"} <= set(
            text.replace("/", " ").split()
        )
        assert ("--far" in text.split()) == (name in ("run", "measure", "batch"))
