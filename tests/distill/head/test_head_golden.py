"""The head against the step-by-step numbers of the reference recipes (tests/golden/heads)."""

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor
from torch.nn import functional as F

from distill.head import columns
from tests.distill.head.golden_heads import CASES, Sequence, merge

REPEATED = [name for name, case in CASES.items() if case["duplicates"]]
# Their margin is written without a gradient ("straight through"); a subtraction has the same one either way.
STRAIGHT_THROUGH = [n for n, c in CASES.items() if c["kind"] == "cvl_fc" and n != "cvl_cosface_sgd"]
FOLLOWED = [name for name in CASES if name not in REPEATED + STRAIGHT_THROUGH]


def child(rank: int, ranks: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=ranks)
    torch.set_num_threads(1)
    records = {name: Sequence(name, {"split_classes": True}, rank, ranks).play() for name in FOLLOWED}
    torch.save(records, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def on_two_ranks(tmp_path_factory) -> dict[str, list[dict[str, Tensor]]]:
    """Every sequence with its classes split over two ranks."""
    folder = tmp_path_factory.mktemp("golden")
    mp.start_processes(child, (2, str(folder)), nprocs=2, start_method="fork")
    ranks = [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]
    return {name: merge([rank[name] for rank in ranks]) for name in FOLLOWED}


def assert_follows(name: str, steps: list[dict[str, Tensor]]) -> None:
    """Loss, logits, gradients, centres and statistics of every step are the reference's."""
    seq, learned = Sequence(name), "sgd" in CASES[name]
    golden = seq.golden
    for t, record in enumerate(steps):
        assert record["loss"].item() == pytest.approx(float(golden["loss_f64"][t]), rel=2e-5, abs=2e-5)
        np.testing.assert_allclose(seq.logits(t, record), golden["logits"][t], atol=5e-4 if learned else 1e-4)
        largest = np.abs(golden["grad_s"][t]).max()
        np.testing.assert_allclose(record["gradient"], golden["grad_s"][t], atol=1e-3 * largest)
        if "kernel_norms" in golden:
            np.testing.assert_allclose(record["centres"].norm(dim=1), golden["kernel_norms"][t], atol=1e-6)
        if "kernel_cols" in golden:
            labels = seq.inputs["labels"][t]
            np.testing.assert_allclose(record["centres"][labels], golden["kernel_cols"][t], atol=1e-6)
        if "kernel" in golden:
            np.testing.assert_allclose(record["centres"].T, golden["kernel"][t], atol=2e-5)
        for key in ("cos_st", "lam", "alpha"):
            if f"{key}_mean" in golden:
                assert record[key].item() == pytest.approx(float(golden[f"{key}_mean"][t]), abs=1e-6)
        for key in ("batch_mean", "batch_std"):
            if key in golden:
                assert record[key].item() == pytest.approx(golden[key][t].item(), rel=1e-6)
        if "margin_scaler" in golden:
            assert record["margin_scaler"].item() == pytest.approx(golden["margin_scaler"][t].mean(), abs=2e-6)
        if "geom_delta" in golden and CASES[name]["kwargs"].get("use_geom_margin"):
            assert record["geometry"].item() == pytest.approx(golden["geom_delta"][t].mean(), abs=2e-6)
    if learned:
        wanted = golden["grad_kernel_step0"]
        np.testing.assert_allclose(steps[0]["gradient of centres"].T, wanted, atol=1e-3 * np.abs(wanted).max())
    last = golden.get("kernel_final", golden.get("kernel_start"))
    if not learned and last is not None:
        np.testing.assert_allclose(steps[-1]["centres"].T, last, atol=1e-6)


@pytest.mark.parametrize("name", FOLLOWED)
def test_sequences_are_followed(name):
    assert_follows(name, Sequence(name).play())


@pytest.mark.parametrize("name", FOLLOWED)
def test_sequences_are_followed_in_blocks(name, monkeypatch):
    monkeypatch.setattr(columns, "chunk_width", lambda batch, device: 17)
    assert_follows(name, Sequence(name, {"logits_mib": 0}).play())


@pytest.mark.parametrize("name", FOLLOWED)
def test_sequences_are_followed_with_classes_split_over_ranks(name, on_two_ranks):
    assert_follows(name, on_two_ranks[name])


@pytest.mark.parametrize("name", STRAIGHT_THROUGH)
def test_forward_values_of_straight_through_recipes(name):
    """Put on the reference's own centres before every step, since its gradient takes them elsewhere than ours."""
    seq = Sequence(name)
    for t in range(seq.steps):
        seq.put(seq.golden["kernel"][t - 1] if t else seq.golden["kernel_start"])
        record = seq.step(t)
        assert record["loss"].item() == pytest.approx(float(seq.golden["loss_f64"][t]), rel=2e-5, abs=2e-5)
        np.testing.assert_allclose(seq.logits(t, record), seq.golden["logits"][t], atol=5e-4)
        for key in ("batch_mean", "batch_std"):
            if key in seq.golden:
                assert record[key].item() == pytest.approx(seq.golden[key][t].item(), rel=1e-6)


def mean_of_updates(weight: Tensor, labels: np.ndarray, alpha: Tensor, unit_t: Tensor) -> Tensor:
    """The centres (C,D) after a step, row by row."""
    moved = weight.clone()
    for c in np.unique(labels):
        rows = [alpha[i] * weight[c] + (1 - alpha[i]) * unit_t[i] for i in np.flatnonzero(labels == c)]
        moved[c] = torch.stack(rows).mean(0)
    return moved


@pytest.mark.parametrize("name", REPEATED)
def test_repeated_labels_follow_the_reference_up_to_the_first_and_the_mean_rule_after(name):
    """Every batch of these repeats a label: the reference holds for what the first step reads before it moves a
    centre, and for the centres and logits of classes that occur once; from there on a brute force in float64."""
    seq = Sequence(name)
    weight = seq.head.centers.weight.double().clone()
    for t in range(seq.steps):
        labels, record = seq.inputs["labels"][t], seq.step(t)
        unit_s, unit_t = (F.normalize(torch.from_numpy(seq.inputs[key][t]).double()) for key in ("f_s", "f_t"))
        cos_st = (unit_s * unit_t).sum(1).clamp(-1, 1)
        lam = F.cosine_similarity(weight[labels], unit_t).clamp(1e-6, 1)
        weight = mean_of_updates(weight, labels, (cos_st * lam).clamp(1e-6, 1), unit_t)
        torch.testing.assert_close(record["centres"].double(), weight, rtol=0, atol=1e-6)
        others = np.setdiff1d(np.arange(len(weight)), labels)
        logits = seq.head.config.s * (unit_s @ F.normalize(weight).T)
        torch.testing.assert_close(record["logits"].double()[:, others], logits[:, others], rtol=0, atol=1e-4)
        if t == 0:
            for key in ("cos_st", "lam", "alpha"):
                assert record[key].item() == pytest.approx(float(seq.golden[f"{key}_mean"][0]), abs=1e-6)
            classes, counts = np.unique(labels, return_counts=True)
            once = np.setdiff1d(np.arange(len(weight)), classes[counts > 1])
            logits = seq.logits(t, record)
            np.testing.assert_allclose(logits[:, once], seq.golden["logits"][0][:, once], atol=1e-4)
            rows = np.isin(labels, once)
            np.testing.assert_allclose(record["centres"][labels[rows]], seq.golden["kernel_cols"][0][rows], atol=1e-6)
