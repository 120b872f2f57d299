"""A record holds all that a study is made of, and nothing in it can pass for something else."""

from dataclasses import replace

from ablate.page import write_page
from ablate.results import Study
from tests.ablate.page.study import ACCURACY, BASELINE, verdicts_of

COMMAND = "python -m ablate report --config configs/ablations/lfw-heads.toml --data DATA"


def record(study: Study, folder) -> str:
    [path] = write_page(study, verdicts_of(study), folder, ["record"], COMMAND)
    assert path.name == "record.md"
    return path.read_text()


def test_a_record_has_every_value_whole_and_every_verdict(study: Study, tmp_path) -> None:
    text = record(study, tmp_path)
    done = [run for run in study.runs if run.metrics]
    assert len(done) > 6
    for run in done:
        assert f"| {run.metrics[ACCURACY]!r} |" in text, "so that it can be read back"
    plain = text.replace("\\", "")
    for verdict in verdicts_of(study):
        assert f"{verdict.point} " in plain
        assert verdict.test in plain
    assert f"than {BASELINE}" in plain
    for digest in study.caches.values():
        assert digest in text
    for run in study.runs:
        assert f"    {run.command}" in text


def test_a_record_says_what_trained_its_runs_and_with_which_versions(study: Study, tmp_path) -> None:
    machine = {"device": "a card", "threads": 1, "python": "3.11.7", "torch": "2.13.0"}
    runs = [replace(run, computed_with=machine) for run in study.runs]
    runs[0] = replace(runs[0], computed_with=machine | {"torch": "2.12.0"})
    text = record(replace(study, runs=runs), tmp_path).partition("## Machine and versions")[2]
    assert "* 1 run: device a card, threads 1, python 3.11.7, torch 2.12.0" in text
    assert text.index("torch 2.13.0") < text.index("torch 2.12.0"), "what most runs had comes first"


def test_a_record_has_the_files_and_the_commands_and_no_file_ends_its_block(study: Study, tmp_path) -> None:
    hostile = 'name = "x"\n```\n# not a heading\n\x1b[2J<script>'
    text = record(replace(study, files={"configs/<b>.toml": hostile}), tmp_path)
    assert '    name = "x"\n    ```\n    # not a heading\n' in text
    assert "\x1b" not in text
    assert "## configs/\\<b\\>.toml" in text
    assert f"    {COMMAND.replace('report', 'run')} --build\n    {COMMAND} --format record\n" in text
