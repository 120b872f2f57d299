"""Progress of long work: plain lines in a pipe, each below 80 columns whatever is worked on."""

from common.progress import progress


def test_lines_stay_below_80_columns_and_say_what_is_done(capsys, monkeypatch):
    clock = iter([0.0, 10.0, 100.0])
    monkeypatch.setattr("common.progress.time.perf_counter", lambda: next(clock))
    what = "a-model-of-a-very-long-name on a-set-of-another\x1b[2J"
    with progress(what, 157_871, unit="faces") as advance:
        advance(157_871)
    (line,) = capsys.readouterr().err.splitlines()
    assert len(line) < 80
    assert line.startswith("a-model-of-")
    assert "157,871 of 157,871 faces" in line
    assert "\x1b" not in line
