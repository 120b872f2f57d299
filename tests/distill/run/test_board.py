"""What TensorBoard shows of a run: groups, few charts a set, the configuration."""

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from distill.histograms import edges, names
from distill.run.board import CHARTS_A_SET, charted, tag_of
from tests.distill.conftest import SETS
from tests.distill.small_runs import curves, run


def test_a_run_s_charts_are_grouped_and_its_configuration_is_there(paired):
    train = {"epochs": 2, "evaluate_every": 1, "best_by": "pairs.eer"}
    run("board", evaluate=SETS, train=train)
    shown = EventAccumulator("runs/board/tensorboard", size_guidance={"scalars": 0, "histograms": 0}).Reload()
    tags = shown.Tags()["scalars"]
    assert all("/" in tag for tag in tags)
    assert {"training/loss", "distillation/lam", "pace/faces_per_second", "pairs/accuracy", "pairs/eer"} <= set(tags)
    groups = [tag.partition("/")[0] for tag in tags]
    assert max(groups.count(group) for group in groups) <= CHARTS_A_SET
    losses = {line["step"]: line["loss"] for line in curves("board") if "loss" in line}
    drawn = {event.step: event.value for event in shown.Scalars("training/loss")}
    assert drawn.keys() == losses.keys()
    assert all(abs(drawn[step] - losses[step]) < 1e-4 for step in losses)
    assert shown.Tags()["histograms"] == ["training/margin_scaler"]
    last = [line for line in curves("board") if "margin_scaler" in line][-1]
    drawn_last = shown.Histograms("training/margin_scaler")[-1]
    assert drawn_last.step == last["step"]
    assert drawn_last.histogram_value.bucket_limit == pytest.approx(edges()[1:])
    assert drawn_last.histogram_value.bucket == pytest.approx([last[name] for name in names("margin_scaler")])
    text = shown.Tensors("configuration/text_summary")[0].tensor_proto.string_val[0].decode()
    assert 'name = "board"' in text
    assert "_hparams_/session_start_info" in shown.summary_metadata


def test_a_set_has_at_most_a_dozen_charts_and_best_by_among_them():
    many = {f"ijb.metric{i}": 0.0 for i in range(40)} | {"ijb.threshold": 0.0, "lfw.accuracy": 1.0}
    chosen = charted(many, always="ijb.metric39")
    assert "ijb.metric39" in chosen
    assert "lfw.accuracy" in chosen
    assert sum(name.startswith("ijb.") for name in chosen) == CHARTS_A_SET
    assert charted({"ijb.threshold": 0.0}) == []
    assert tag_of("ijb.N.tar.1e-4") == "ijb/N/tar/1e-4"
