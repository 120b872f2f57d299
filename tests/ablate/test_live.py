"""What an ablation says of its runs, on a terminal and in a pipe."""

import io

from rich.console import Console

from ablate.live import LiveTable
from ablate.points import expand, read_ablation


def table_of(written):
    runs = expand(read_ablation(written('[ablate.axes]\n"head.m" = [0.1, 0.2, 0.3, 0.4]\n'))).runs
    return LiveTable(runs), [run.key for run in runs]


def text_of(live: LiveTable, width: int = 100) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(live.table())
    return console.export_text()


def test_the_table_shows_what_runs_and_failed_and_counts_the_rest(written):
    live, (first, second, third, _) = table_of(written)
    live.state(first, "done", "runs/x")
    live.state(second, "training")
    live.progress(second, "step 3/7, \x1b[31mloss 2")
    live.state(third, "failed", "[red]no memory")
    text = text_of(live)
    assert "m=0.2, seed 0" in text
    assert "step 3/7, \\x1b[31mloss 2" in text
    assert "failed" in text
    assert "m=0.4" not in text
    assert "1 of 4 done, 1 running, 1 waiting, 1 failed" in " ".join(text.split())


def test_on_eighty_columns_it_is_the_last_words_that_are_cut(written):
    live, (first, second, third, _) = table_of(written)
    live.state(first, "evaluating")
    live.progress(first, "runs/" + 200 * "x")
    live.state(second, "training")
    live.progress(second, "step 2/46, loss 45.47, 102 faces/s, 37 s left, epoch 1/1 and more and more")
    live.state(third, "failed", 100 * "y ")
    head, *rows, caption = text_of(live, 80).splitlines()
    assert [row.split()[:4] for row in rows] == [
        ["m=0.1,", "seed", "0", "evaluating"],
        ["m=0.2,", "seed", "0", "training"],
        ["m=0.3,", "seed", "0", "failed"],
    ]
    assert "step 2/46, loss 45.47, 102 faces/s" in rows[1]
    assert caption.rstrip() == "0 of 4 done, 2 running, 1 waiting, 1 failed"
    assert max(map(len, (head, *rows, caption))) <= 80


def test_in_a_pipe_every_change_is_a_line_and_progress_is_told_once_a_minute(written, capsys, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("ablate.live.time.monotonic", lambda: now[0])
    live, (first, *_) = table_of(written)
    with live:
        live.state(first, "training")
        for step in range(200):
            now[0] += 1
            live.progress(first, f"step {step}")
        live.state(first, "done", "runs/x")
        live.state(first, "done", "runs/x")
    assert capsys.readouterr().out.splitlines() == [
        "[0/4] m=0.1, seed 0: training",
        *(f"[0/4] m=0.1, seed 0: step {step}" for step in (59, 119, 179)),
        "[1/4] m=0.1, seed 0: done: runs/x",
    ]
