"""The card of a student: every number from a file, nothing from outside obeyed, no more permission than its sources."""

import json
import re
from pathlib import Path

import onnx
import pytest
import yaml
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt
from onnx import helper
from pydantic import TypeAdapter

from cache.format import read_manifest
from common.embeddings import thresholds_beside
from common.errors import DataError, ModelError
from common.files import sha256_of
from export.card import Licences, write_card
from export.card.results import Numbers, measures, wilson
from export.card.run_record import read_run
from export.package import checked

OUT = Path("exports/tiny")
FREE = Licences("CC0-1.0", "MIT", "mit")
HOSTILE = "<img src=x>|[a](http://b)`c`\n---\nlicense: mit\n"
READER = MarkdownIt("commonmark").enable("table")


@pytest.fixture
def run(trained_run: Path) -> Path:
    """runs/tiny, which has all that a card is made of."""
    return trained_run


def written(run: Path, licences: Licences = FREE, sheets: bool = False) -> str:
    return write_card(read_run(run), OUT, licences, sheets).read_text()


def edit(path: Path, change) -> None:
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def exported(name: str, weights_sha256: str, **more) -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    model = helper.make_model(helper.make_graph([], "g", [], []), ir_version=8)
    account = {"weights_sha256": weights_sha256, "size": [112, 112], "precision": "int8", "flip": False}
    model.metadata_props.add(key="face_teacher_cache", value=json.dumps(account | more))
    onnx.save(model, OUT / name)


def measured(file: str, passed: bool, reason: str) -> None:
    """measured.json with one row, as the gates write it."""
    OUT.mkdir(parents=True, exist_ok=True)
    loss = {"rate": 0.985, "loss": 0.0025, "low": -0.001, "high": 0.006}
    row = {"file": file, "precision": "int8", "bytes": 5, "cosine_mean": 0.99, "cosine_q01": 0.9, "far": {"lfw": 0.01}}
    row |= {"accuracy": {"lfw": loss}, "tar": {"lfw": loss}, "latency_ms": {"1x1": 1.5}}
    (OUT / "measured.json").write_text(json.dumps({"rows": [row | {"passed": passed, "reason": reason}]}))


def test_the_card_says_what_the_files_of_the_run_say(run):
    page = written(run, Licences("faces terms", "teacher terms"))
    manifest = read_manifest(Path("caches/tiny"))
    report = json.loads((run / "evaluation/results.json").read_text())["results"]["tiny"]["lfw"]
    low, high = wilson(report["accuracy"], 20)
    for fact in (
        manifest["sealed"]["ledger"],
        manifest["faces"]["fingerprint"],
        manifest["teacher"]["weights_sha256"],
        sha256_of(run / "student.safetensors"),
        "35 of 7 people (recordio), licence faces terms",
        "licence teacher terms",
        f"| lfw | pairs, 10 folds | accuracy | {100 * report['accuracy']:.2f} | {100 * low:.2f} to {100 * high:.2f} |",
        "| 0.1 | 0.2500 | 0.2000 to 0.3000 | 75.00 |",
        'backbone = "mobilefacenet&#95;0.25"'.replace("&#95;", "_"),
        "embedding size | 16",
    ):
        assert fact in page, fact
    assert "For research only" in page.splitlines()[page.splitlines().index("# tiny") + 2]


def test_the_hub_reads_the_header_and_every_result_in_it(run):
    page = written(run)
    data = ModelCard(page).data
    assert (data.license, data.license_name, data.model_name) == ("other", "mit", "tiny")
    report = json.loads((run / "evaluation/results.json").read_text())["results"]["tiny"]["lfw"]
    [accuracy] = [found for found in data.eval_results if found.metric_type == "accuracy"]
    assert (accuracy.dataset_name, accuracy.metric_value) == ("lfw", report["accuracy"])


def test_hostile_names_are_shown_and_not_obeyed(run):
    edit(
        run / "evaluation/results.json",
        lambda value: value["results"]["tiny"].update({HOSTILE: value["results"]["tiny"].pop("lfw")}),
    )
    edit(run / "sources.json", lambda value: value["caches"][0]["teacher"].update(name=HOSTILE))
    edit(run / "student.safetensors.thresholds.json", lambda value: value.update(set=HOSTILE))
    measured("model.int8.failed.onnx", passed=False, reason=HOSTILE)
    page = written(run, Licences(HOSTILE, HOSTILE))
    header, body = re.fullmatch(r"---\n(.*?)\n---\n(.*)", page, re.DOTALL).groups()
    assert yaml.safe_load(header)["license"] == "other"
    rendered = READER.render(body)
    assert set(re.findall(r"<(\w+)", rendered)) <= {
        *("h1", "h2", "p", "strong", "table", "thead", "tbody", "tr", "th", "td", "code", "pre"),
        *("details", "summary"),
    }
    assert rendered.count("&lt;img src=x&gt;|[a](http://b)`c`\\x0a---\\x0alicense: mit") >= 7


@pytest.mark.parametrize(
    ("faces", "teacher", "licence", "says"),
    [
        ("research only", "Apache-2.0", "apache-2.0", "faces is under 'research only'"),
        ("CC0-1.0", "CC BY-NC-SA 4.0", "apache-2.0", "under 'CC BY-NC-SA 4.0'"),
        ("Unknown", "MIT", "apache-2.0", "the licence of faces is unknown, which is no permission"),
        ("CC0-1.0", None, "apache-2.0", "the licence of tiny.onnx is not known here: give --teacher-licence"),
    ],
)
def test_weights_are_not_given_under_more_than_their_sources(run, faces, teacher, licence, says):
    with pytest.raises(ModelError, match=re.escape(says)):
        written(run, Licences(faces, teacher, licence))
    assert not OUT.exists()
    if teacher:
        assert "For research only" in written(run, Licences(faces, teacher))


def test_an_export_of_other_weights_is_refused(run):
    exported("model.onnx", sha256_of(run / "student.safetensors"))
    exported("model.int8.failed.onnx", "0" * 64)
    assert "model.onnx" in written(run)
    exported("model.int8.onnx", "0" * 64)
    with pytest.raises(ModelError, match=r"model.int8.onnx: exported from weights 0{64}, .*export again"):
        written(run)


def test_an_export_with_thresholds_from_before_they_were_calibrated_anew_is_refused(run):
    sha256 = sha256_of(run / "student.safetensors")
    exported("model.onnx", sha256, thresholds=thresholds_beside(run / "student.safetensors").told())
    written(run)
    edit(run / "student.safetensors.thresholds.json", lambda value: value["rows"][0].update(threshold=0.26))
    with pytest.raises(ModelError, match=r"model.onnx: holds other thresholds than .*: export again"):
        written(run)


def test_an_export_whose_metadata_are_damaged_is_named(run):
    exported("model.onnx", sha256_of(run / "student.safetensors"), size="large")
    with pytest.raises(ModelError, match=r"model.onnx: its metadata: damaged at size .*: export it again"):
        written(run)


@pytest.mark.parametrize(
    ("damage", "field"),
    [
        ({"accuracy": "good"}, "accuracy"),
        ({"accuracy": 1.5}, "accuracy"),
        ({"pairs": -1}, "pairs"),
        ({"tar_at_most_far": {"0.1": 3}}, "tar_at_most_far.0.1"),
        ({"fold_accuracy": [0.9, None]}, "fold_accuracy.1"),
    ],
)
def test_a_damaged_report_is_named_with_the_field(run, damage, field):
    report = run / "evaluation/results.json"
    edit(report, lambda value: value["results"]["tiny"]["lfw"].update(damage))
    with pytest.raises(DataError, match=rf"{report}: damaged at results\.tiny\.lfw\.pairs\.{field} .*: evaluate again"):
        read_run(run)


def test_the_rates_of_every_protocol_are_rows():
    far = {"1e-4": {"tar": 0.5}, "1e-9": {"tar": None}}
    report = {
        "ijb": {
            "templates": 9,
            "genuine": 40,
            "flip": True,
            "N1D1F1": {"tar_at_most_far": far, "two_galleries": {"rank": {"1": 0.75}}},
        },
        "tinyface": {"probes": 110, "probes_without_mate": 10, "mates": 200, "distractors": 0, "rank": {"5": 0.25}},
    }
    rows = measures(TypeAdapter(dict[str, Numbers]).validate_python(report))
    assert [(row.set, row.protocol, row.name, row.value) for row in rows] == [
        ("ijb", "templates 1:1, N1D1F1", "TAR @ FAR <= 1e-4", 0.5),
        ("ijb", "1:N two galleries, N1D1F1", "rank 1", 0.75),
        ("tinyface", "1:N with distractors", "rank 5", 0.25),
    ]
    assert (rows[2].low, rows[2].high) == wilson(0.25, 100)


def test_thresholds_of_other_weights_are_refused(run):
    edit(run / "student.safetensors.thresholds.json", lambda value: value["model"].update(weights_sha256="0" * 64))
    with pytest.raises(ModelError, match=r"thresholds of other weights: sha256 is 0{64} there"):
        written(run)


def test_what_failed_its_gates_stays_here_and_is_named(run):
    exported("model.int8.failed.onnx", "0" * 64)
    measured("model.int8.failed.onnx", passed=False, reason="cosine 0.91")
    page = written(run)
    assert "| failed, and is not part of this: cosine 0.91 |" in page
    assert "| 98.50 (0.25; -0.10 to 0.60) |" in page
    assert "model.int8.failed.onnx" not in checked(OUT)


def test_pictures_of_people_travel_only_when_asked_for(run):
    (run / "evaluation/errors-lfw-tiny.png").write_bytes(b"picture")
    assert "![" not in written(run)
    assert "errors-lfw-tiny.png" not in checked(OUT)
    assert "](errors-lfw-tiny.png)" in written(run, sheets=True)
    assert "errors-lfw-tiny.png" in checked(OUT)


def test_paths_of_the_publishers_disk_stay_there(run):
    config = run / "config.toml"
    config.write_text(config.read_text().replace('"lfw.bin"', '"/home/me/private/lfw.bin"'))
    page = written(run)
    assert 'lfw = "lfw.bin"' in page
    assert "/home/me" not in page


def test_wilsons_interval_is_the_one_in_the_literature():
    """Newcombe 1998, table I, method 3: 81 of 263, 15 of 148, 0 of 20, 1 of 29."""
    known = {(81, 263): (0.2553, 0.3662), (15, 148): (0.0624, 0.1605), (0, 20): (0, 0.1611), (1, 29): (0.0061, 0.1718)}
    for (hits, trials), interval in known.items():
        assert wilson(hits / trials, trials) == pytest.approx(interval, abs=5e-5)
