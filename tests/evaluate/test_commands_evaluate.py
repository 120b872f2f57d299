"""The commands on stored embeddings and tiny sets: what a user types, what comes out, what is refused."""

import csv
import json
import os
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from common.embeddings import Embeddings
from common.errors import DataError, ModelError, UserError
from common.faces.evaluation_sets import write_arrow, write_bin
from evaluate.__main__ import main
from evaluate.batch import evaluate_folder
from evaluate.stored import load_embeddings, save_embeddings
from tests.evaluate.stand_ins import Linear

PAIRS = 60


def faces(count, seed=0):
    rng = np.random.default_rng(seed)
    return [cv2.imencode(".png", rng.integers(0, 256, (8, 8, 3), np.uint8))[1].tobytes() for _ in range(count)]


def rows_of(people, noise, seed=0):
    rng = np.random.default_rng(seed)
    centers = rng.standard_normal((max(people) + 1, 16))
    return (centers[people] + noise * rng.standard_normal((len(people), 16))).astype(np.float32)


def store(path, rows):
    save_embeddings(path, Embeddings(rows, np.linalg.norm(rows, axis=1).astype(np.float32)), flip=True)


@pytest.fixture
def world(tmp_path, monkeypatch):
    """pairs.bin, an IJB folder, a TinyFace folder, and stored embeddings of two models for all three."""
    monkeypatch.chdir(tmp_path)
    same = np.arange(PAIRS) % 2 == 0
    people = np.arange(2 * PAIRS)
    people[1::2][same] = people[0::2][same]
    write_bin("pairs.bin", faces(2 * PAIRS), same)

    person = np.arange(40) % 10
    write_arrow("ijb", faces(40), 40)
    template = np.arange(40) // 10 * 10 + person  # four templates a person, one image each
    first, second = np.meshgrid(np.arange(10), np.arange(20, 40))
    protocol = {"faceness_scores": np.ones(40, np.float32), "templates": template, "medias": np.arange(40)}
    protocol |= {"p1": first.ravel(), "p2": second.ravel(), "label": (first % 10 == second % 10).ravel().astype(int)}
    for part, ids in (("g1", np.arange(5)), ("g2", np.arange(5, 10)), ("probe", np.arange(20, 30))):
        protocol |= {f"{part}_templates": ids, f"{part}_subjects": ids % 10}
    torch.save(protocol, "ijb/metadata.pt")

    write_arrow("tiny", faces(30), 30)
    names = [f"{n % 10}_{n}.png" for n in range(20)] + [f"-1_{n}.png" for n in range(10)]
    lists = {"image_paths": names, "probe_paths": names[:10], "gallery_paths": names[10:20]}
    torch.save(lists | {"distractor_paths": names[20:]}, "tiny/metadata.pt")

    for model, noise in (("good", 0.2), ("bad", 2.0)):
        store(f"stored/{model}/pairs.npz", rows_of(people, noise))
        store(f"stored/{model}/ijb.npz", rows_of(person, noise))
        store(f"stored/{model}/tiny.npz", rows_of(np.append(np.arange(20) % 10, 10 + np.arange(10)), noise))
    return tmp_path


def invoke(*arguments, code=0):
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == code, result.output
    return result.output


BOTH = ("--model", "stored/good", "--model", "stored/bad")
ALL = ("--on", "pairs.bin", "--on", "ijb", "--on", "tiny")


def test_measure_reports_all_three_kinds_of_set_with_pictures_and_skips_by_name(world):
    output = invoke("measure", *BOTH, *ALL, "--on", "cfp=nowhere/cfp.bin", "--out", "report")
    assert "skipped cfp: not found: data/nowhere/cfp.bin" in output
    for shown in ("Verification", "Templates (IJB)", "N1D1F1", "N0D1F1", "TinyFace", "rank 20"):
        assert shown in output
    results = json.loads((world / "report/results.json").read_text())["results"]
    assert results["good"]["pairs"]["accuracy"] > results["bad"]["pairs"]["accuracy"]
    assert results["good"]["ijb"]["N1D1F1"]["two_galleries"]["rank"]["1"] == 1.0
    assert results["good"]["tiny"]["rank"]["1"] > results["bad"]["tiny"]["rank"]["1"]
    rows = list(csv.DictReader((world / "report/results.csv").open()))
    assert [(row["model"], row["set"]) for row in rows] == [
        (m, s) for m in ("good", "bad") for s in ("pairs", "ijb", "tiny")
    ]
    pictures = {path.stem for path in (world / "report").glob("*.png")}
    assert {
        "roc-pairs",
        "det-pairs",
        "scores-pairs-good",
        "quality-pairs-bad",
        "roc-ijb",
        "cmc-ijb",
        "cmc-tiny",
    } <= pictures
    assert all((world / f"report/{name}.csv").stat().st_size > 20 for name in pictures)


def test_cmc_numbers_are_shares_of_mate_ranks(world):
    invoke("measure", *BOTH, "--on", "tiny", "--out", "report")
    results = json.loads((world / "report/results.json").read_text())["results"]
    curve = {
        (row["model"], row["rank"]): float(row["rate"])
        for row in csv.DictReader((world / "report/cmc-tiny.csv").open())
    }
    for model in ("good", "bad"):
        for k in ("1", "5", "20"):
            assert curve[model, k] == pytest.approx(results[model]["tiny"]["rank"][k])


def test_kept_embeddings_give_the_same_report(world, blank_pictures):
    some = ("--on", "tiny", "--on", "pairs.bin")
    invoke("measure", "--model", "stored/good", *some, "--out", "first", "--keep", "kept")
    invoke("measure", "--model", "kept/good", *some, "--out", "second")
    assert (world / "first/results.json").read_bytes() == (world / "second/results.json").read_bytes()


def test_embed_stores_what_measure_uses(world):
    invoke("embed", *BOTH, *ALL, "--out", "again")
    for name in ("pairs", "ijb", "tiny"):
        assert np.array_equal(
            load_embeddings(f"again/good/{name}.npz")[0].rows, load_embeddings(f"stored/good/{name}.npz")[0].rows
        )


def test_compare_shows_differences_to_the_first_model(world):
    invoke("measure", "--model", "stored/good", "--on", "tiny", "--out", "a")
    invoke("measure", "--model", "stored/bad", "--on", "tiny", "--out", "b")
    output = invoke("compare", "a", "b")
    first, second = (
        json.loads((world / report / "results.json").read_text())["results"][model]["tiny"]["rank"]["1"]
        for report, model in (("a", "good"), ("b", "bad"))
    )
    assert f"{100 * second:.2f} ({100 * (second - first):+.2f})" in output


def test_errors_draws_the_worst_pairs(world):
    output = invoke("errors", "--model", "stored/bad", "--on", "pairs.bin", "--out", "sheets")
    assert "errors-pairs-bad.png: the worst" in output
    assert cv2.imread("sheets/errors-pairs-bad.png").shape[1] > 600
    assert "only pairs of single pictures" in invoke(
        "errors", "--model", "stored/bad", "--on", "ijb", "--out", "s", code=2
    )


def test_search_answers_with_the_names_of_faces_and_exact_cosines(world):
    names = tuple(f"person {number}" for number in range(50))
    rows, asked = rows_of(np.arange(50), 0.1), rows_of(np.arange(12), 0.3)
    save_embeddings("gallery.npz", Embeddings(rows, np.ones(50, np.float32), names), flip=True)
    store("probes.npz", asked)
    output = invoke("search", "--gallery", "gallery.npz", "--probes", "probes.npz", "-k", "3", "--out", "n.csv")
    units = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in (rows, asked)]
    cosines = units[1] @ units[0].T
    expected = [
        (f"row {probe}", str(rank + 1), names[row])
        for probe in range(12)
        for rank, row in enumerate(np.argsort(-cosines[probe])[:3])
    ]
    found = list(csv.DictReader(Path("n.csv").read_text().splitlines()))
    assert [(line["probe"], line["rank"], line["gallery"]) for line in found] == expected
    assert [float(line["cosine"]) for line in found] == pytest.approx(-np.sort(-cosines)[:, :3].ravel(), abs=1e-6)
    assert f"row 0: {expected[0][2]} {cosines[0].max():.3f}, " in output
    assert "... and 2 probes more" in output
    store("other.npz", rows_of(np.arange(12), 0.3)[:, :8])
    message = invoke("search", "--gallery", "gallery.npz", "--probes", "other.npz", code=2)
    assert "other.npz: 8 dimensions, gallery.npz has 16" in message


@pytest.mark.parametrize("format", ["npz", "zarr"])
def test_faces_of_sets_are_found_by_what_the_set_calls_them(world, monkeypatch, format):
    monkeypatch.setattr("common.models.named.open_model", lambda *arguments: Linear(dim=6))
    Path("weights.pt").write_bytes(b"PK")
    invoke("embed", "--model", "weights.pt", *ALL, "--out", "e", "--format", format)
    ending = ".npz" if format == "npz" else ""
    for name, shown in (
        ("tiny", "0_0.png: 0_0.png 1.000"),
        ("pairs", "pair 0a: pair 0"),
        ("ijb", "template 0 row 0: "),
    ):
        path = f"e/weights/{name}{ending}"
        assert shown in invoke("search", "--gallery", path, "--probes", path, "-k", "1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("measure", "--model", "stored", "--on", "pairs.bin", "--out", "r"), "neither a run"),
        (
            ("measure", "--model", "stored/good", "--model", "good=stored/bad", "--on", "tiny", "--out", "r"),
            "two models are called good",
        ),
        (
            ("measure", "--model", "stored/good", "--on", "tiny", "--on", "tiny=ijb", "--out", "r"),
            "two sets are called tiny",
        ),
        (("measure", "--model", "stored/good", "--on", "pairs=ijb", "--out", "r"), "they are of another set"),
        (("measure", "--model", "stored/good", "--on", "nowhere.bin", "--out", "r"), "nothing to evaluate on"),
        (
            ("measure", "--model", "stored/good", "--on", "other=pairs.bin", "--out", "r"),
            r"other.npz: no stored embeddings",
        ),
        (("compare", "stored"), "no evaluation report"),
        (("search", "--gallery", "pairs.bin", "--probes", "pairs.bin"), "no stored embeddings"),
        (("measure", "--model", "runs/nothere", "--on", "tiny", "--out", "r"), "runs/nothere: no such file or folder"),
        (("measure", "--model", "stored/x", "--on", "tiny", "--out", "r"), "stored/x: no such file or folder"),
        (("measure", "--model", "./a/b", "--on", "tiny", "--out", "r"), "./a/b: no such file or folder"),
        (("measure", "--model", "x.onnx", "--on", "tiny", "--out", "r"), "x.onnx: no such file or folder"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(world, arguments, message):
    output = invoke(*arguments, code=2)
    assert output.startswith("Error: ")
    assert message in output
    assert not (world / "r/results.json").exists()


@pytest.mark.parametrize("missing", ["templates", "label"])
def test_an_ijb_protocol_that_lacks_an_array_is_refused_by_its_path(world, missing):
    from evaluate.files.metadata import read_metadata

    meta = read_metadata("ijb/metadata.pt")
    del meta[missing]
    torch.save(dict(meta), "ijb/metadata.pt")
    output = invoke("measure", "--model", "stored/good", "--on", "ijb", "--out", "r", code=2)
    assert f"ijb/metadata.pt: the IJB protocol array '{missing}' is missing" in output


@pytest.fixture
def batch(world, blank_pictures):
    """A batch over run/: call it, and it says which checkpoints were opened; `told` holds its lines."""
    os.makedirs("run/exp")
    os.makedirs("run/exp-1")
    for name in ("exp/1-best.pt", "exp-1/best.pt", "notes.txt"):
        (world / "run" / name).write_text(name)
    told = []

    def evaluate(as_json=False, **sets):
        opened = []

        def open_one(path):
            opened.append(path.relative_to(world / "run").as_posix())
            if path.read_text() == "damaged":
                raise ModelError(f"{path}: damaged")
            return Linear(dim=4)

        told.clear()
        arguments = (world / "run", ".pt", {n: world / p for n, p in sets.items()}, world / "batch", open_one)
        evaluate_folder(*arguments, as_json=as_json, tell=told.append)
        return opened

    evaluate.told = told
    return evaluate


def batch_rows():
    with open("batch/all.csv", newline="") as file:
        return [(row["model"], row["set"]) for row in csv.DictReader(file)]


BOTH_BEST = ["exp/1-best.pt", "exp-1/best.pt"]


def test_batch_evaluates_each_checkpoint_once_and_keeps_like_names_apart(batch):
    assert batch(pairs="pairs.bin", cfp="cfp.bin", as_json=True) == BOTH_BEST
    assert batch_rows() == [(name, "pairs") for name in BOTH_BEST]
    assert [row["model"] for row in json.loads(Path("batch/all.json").read_text())] == BOTH_BEST
    assert batch(pairs="pairs.bin") == []
    assert batch.told == [f"{name}: already evaluated on pairs" for name in BOTH_BEST]


def test_batch_sees_replaced_weights_and_sets_by_their_bytes_whatever_their_times(batch, world):
    batch(pairs="pairs.bin")
    (world / "run/exp/1-best.pt").write_text("others")
    os.utime("run/exp/1-best.pt", (1, 1))
    os.utime("run/exp-1/best.pt", (2e9, 2e9))
    assert batch(pairs="pairs.bin") == ["exp/1-best.pt"]
    write_bin("pairs.bin", faces(2 * PAIRS, seed=9), np.arange(PAIRS) % 2 == 0)
    assert batch(pairs="pairs.bin") == BOTH_BEST


def test_batch_adds_sets_and_does_not_call_a_missing_one_evaluated(batch):
    batch(pairs="pairs.bin")
    assert batch(ijb="ijb", cfp="cfp.bin") == BOTH_BEST
    assert batch_rows() == [(name, which) for name in BOTH_BEST for which in ("pairs", "ijb")]
    assert not any("cfp" in line for line in batch.told)
    with pytest.raises(DataError, match=r"nothing to evaluate on: .*cfp\.bin not found"):
        batch(cfp="cfp.bin")


def test_batch_names_an_unreadable_checkpoint_and_evaluates_the_others(batch, world):
    (world / "run/exp-1/best.pt").write_text("damaged")
    with pytest.raises(UserError, match=r"^1 of 2 checkpoints could not be evaluated: exp-1/best\.pt: mend"):
        batch(pairs="pairs.bin")
    assert batch_rows() == [("exp/1-best.pt", "pairs")]
    assert "exp-1/best.pt: not evaluated: " in batch.told[1]


NO_DOCUMENT = {
    "a list": b"[]",
    "null": b"null",
    "a wrong type": b'{"results": {"m": 3}, "sets": 3, "rows": {}, "_data_files": 7, "kind": []}',
    "not UTF-8": b'{"results": "\xff"}',
    "deep": b"[" * 100_000,
    "nothing": b"",
}


@pytest.mark.parametrize("kind", [*NO_DOCUMENT, "a folder", "a pipe"])
def test_what_was_written_once_and_is_something_else_now_is_one_line_with_its_path(batch, world, kind):
    batch(pairs="pairs.bin")
    invoke("embed", "--model", "stored/good", "--on", "tiny", "--out", "z", "--format", "zarr")
    invoke("measure", "--model", "stored/good", "--on", "tiny", "--out", "a")

    def spoil(path):
        os.unlink(path)
        if kind == "a folder":
            os.mkdir(path)
        elif kind == "a pipe":
            os.mkfifo(path)
        else:
            (world / path).write_bytes(NO_DOCUMENT[kind])
        return path

    path = spoil("a/results.json")
    assert f"Error: {path}: " in invoke("compare", "a", code=2)
    for file in ("z/good/tiny/rows/zarr.json", "z/good/tiny/zarr.json"):
        path = spoil(file)
        assert f"Error: {path}: " in invoke("search", "--gallery", "z/good/tiny", "--probes", "z/good/tiny", code=2)
    path = spoil("tiny/state.json")
    assert f"Error: {path}: " in invoke("measure", "--model", "stored/good", "--on", "tiny", "--out", "b", code=2)
    path = spoil("pairs.bin")
    assert f"Error: {path}" in invoke("measure", "--model", "stored/good", "--on", path, "--out", "b", code=2)
    path = spoil("stored/good/ijb.npz")
    if kind != "a folder":
        assert f"Error: {path}: " in invoke("measure", "--model", "stored/good", "--on", "ijb", "--out", "b", code=2)


@pytest.mark.parametrize("spoilt", ["batch/exp/1-best.pt.json", "batch/options.json"])
@pytest.mark.parametrize("kind", ["a list", "null", "a wrong type", "deep"])
def test_a_damaged_record_of_a_batch_is_named(batch, world, spoilt, kind):
    batch(pairs="pairs.bin")
    (world / spoilt).write_bytes(NO_DOCUMENT[kind])
    with pytest.raises(UserError):
        batch(pairs="pairs.bin")
    if spoilt != "batch/options.json":
        assert any(spoilt in line and "evaluate again" in line for line in batch.told)


@pytest.mark.parametrize("command", ["measure", "embed", "errors"])
def test_a_file_in_the_way_of_an_output_is_one_line(world, command):
    (world / "file").write_text("in the way")
    output = invoke(command, "--model", "stored/bad", "--on", "pairs.bin", "--out", "file/report", code=2)
    assert output.startswith("Error: file")
    assert len(output.splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (faces(1)[0], "a PNG picture"),
        (b"\xff\xd8\xff\xe0JFIF", "a JPEG picture"),
        (b"PK\x03\x04", "a zip file"),
        (b"version https://git-lfs.github.com/spec/v1", "a Git LFS pointer"),
        (b"", "empty"),
    ],
)
def test_a_foreign_file_is_called_by_what_it_is(world, content, what):
    (world / "foreign.bin").write_bytes(content)
    output = invoke("measure", "--model", "stored/good", "--on", "foreign.bin", "--out", "r", code=2)
    assert f"foreign.bin: it is {what}" in output
    if not content.startswith(b"PK"):
        output = invoke("measure", "--model", "foreign.bin", "--on", "pairs.bin", "--out", "r", code=2)
        assert f"foreign.bin: it is {what}" in output


@pytest.mark.parametrize("place", ["tiny/data-00000-of-00001.arrow", "z/good/tiny/rows/c/0/0"])
def test_a_pipe_in_place_of_an_array_is_refused_and_not_waited_for(world, place):
    invoke("embed", "--model", "stored/good", "--on", "tiny", "--out", "z", "--format", "zarr")
    os.unlink(place)
    os.mkfifo(place)
    output = invoke("measure", "--model", "z/good", "--on", "tiny", "--out", "r", code=2)
    assert f"Error: {place}: " in output
    assert "not a regular file" in output


@pytest.mark.parametrize("place", ["pairs.bin", "ijb/metadata.pt"])
def test_a_batch_does_not_wait_for_a_pipe(batch, world, place):
    os.unlink(place)
    os.mkfifo(place)
    with pytest.raises(DataError, match=f"{place}: not a regular file"):
        batch(ijb="ijb") if place.startswith("ijb") else batch(pairs="pairs.bin")


def test_tables_are_the_same_in_a_pipe_and_on_a_terminal_of_any_width(world, blank_pictures, monkeypatch):
    command = ("measure", *BOTH, *ALL, "--out", "r")
    piped = invoke(*command)
    assert max(map(len, piped.splitlines())) <= 80
    assert [model for model in ("good", "bad") if f"model {model}, set ijb" in piped] == ["good", "bad"]
    for columns in ("60", "200"):
        monkeypatch.setenv("COLUMNS", columns)
        assert invoke(*command) == piped
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert re.sub(r"\x1b\[[0-9;]*m", "", invoke(*command)) == piped
