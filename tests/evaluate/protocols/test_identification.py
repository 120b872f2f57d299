"""1:N rates by brute force on scores full of ties: equal to the threshold is not above it, and takes no rank."""

import math

import faiss
import numpy as np
import pytest

from common.embeddings import nearest
from evaluate.protocols import identification
from evaluate.protocols.identification import Gallery, closed_set, two_galleries

pytestmark = pytest.mark.usefixtures("neighbours")

FPIRS = (0.06, 0.2, 0.51)  # of 40 probes: 2.4, 8 and 20.4 false accepts, so that rounding up shows


@pytest.fixture(params=[1, 3, 64])
def neighbours(request, monkeypatch):
    """How many neighbours are asked for at first, in blocks of two probes and more."""
    monkeypatch.setattr(identification, "_DEPTH", request.param)
    monkeypatch.setattr(identification, "_PAIRS", 2 * request.param)


def tied(seed):
    """Two galleries and probes whose scores are small whole numbers: exact in any precision, most of them tied."""
    rng = np.random.default_rng(seed)
    rows = [rng.integers(-1, 2, (count, 4)).astype(np.float32) for count in (6, 5, 40)]
    return Gallery(rows[0], np.arange(6)), Gallery(rows[1], np.arange(6, 11)), rows[2], rng.integers(0, 11, 40)


@pytest.mark.parametrize("seed", range(8))
def test_closed_set_rates_are_brute_forces(seed):
    first, second, probes, subjects = tied(seed)
    result = closed_set((first, second), probes, subjects, fpirs=FPIRS)
    gallery = [*first.rows.tolist(), *second.rows.tolist()]
    scores = [[sum(a * b for a, b in zip(p, g, strict=True)) for g in gallery] for p in probes.tolist()]
    mates = [row[who] for row, who in zip(scores, subjects, strict=True)]
    wrong = sorted((s for row, who in zip(scores, subjects, strict=True) for n, s in enumerate(row) if n != who))[::-1]
    for fpir in FPIRS:
        threshold = wrong[math.ceil(len(probes) * fpir) - 1]
        assert result.threshold[fpir] == (threshold,)
        assert result.tpir_at_fpir[fpir] == sum(mate > threshold for mate in mates) / len(probes)
    ranks = [1 + sum(s > mate for s in row) for row, mate in zip(scores, mates, strict=True)]
    assert result.mate_ranks.tolist() == ranks
    assert result.rank == {k: sum(rank <= k for rank in ranks) / len(probes) for k in (1, 5, 10)}


@pytest.mark.parametrize("seed", range(8))
def test_two_gallery_rates_are_brute_forces(seed):
    first, second, probes, subjects = tied(seed)
    result = two_galleries((first, second), probes, subjects, fpirs=FPIRS)
    for place, fpir in enumerate(FPIRS):
        tpirs = []
        for number, gallery in enumerate((first, second)):
            scores = (probes @ gallery.rows.T).tolist()
            at = {int(who): n for n, who in enumerate(gallery.subjects)}
            strangers = sorted(max(row) for row, who in zip(scores, subjects, strict=True) if who not in at)[::-1]
            threshold = strangers[max(int(len(strangers) * fpir) - 1, 0)]
            assert result.threshold[fpir][number] == threshold, place
            known = [(row, row[at[int(who)]]) for row, who in zip(scores, subjects, strict=True) if who in at]
            tpirs.append(sum(mate >= max(row) and mate > threshold for row, mate in known) / len(known))
        assert result.tpir_at_fpir[fpir] == pytest.approx(sum(tpirs) / 2, abs=1e-15)


def test_with_a_gpu_every_score_comes_from_its_search(monkeypatch):
    """A stand-in for faiss-gpu whose scores are twice the CPU's: one that came from elsewhere would show."""
    resources = object()

    def on_gpu(given, probes, gallery, k, metric):
        assert given is resources
        assert k <= 2048
        scores, found = faiss.knn(probes, gallery, k, metric=metric)
        return 2 * scores, found

    first, second, probes, subjects = tied(1)
    cpu = [protocol((first, second), probes, subjects, fpirs=FPIRS) for protocol in (closed_set, two_galleries)]
    nearest._gpu_resources.cache_clear()
    monkeypatch.setattr(nearest, "gpus", lambda: 1)
    monkeypatch.setattr(faiss, "StandardGpuResources", lambda: resources, raising=False)
    monkeypatch.setattr(faiss, "knn_gpu", on_gpu, raising=False)
    gpu = [protocol((first, second), probes, subjects, fpirs=FPIRS) for protocol in (closed_set, two_galleries)]
    nearest._gpu_resources.cache_clear()
    for one, other in zip(cpu, gpu, strict=True):
        assert np.array_equal(one.mate_ranks, other.mate_ranks)
        assert one.tpir_at_fpir == other.tpir_at_fpir
        assert {fpir: tuple(2 * cut for cut in cuts) for fpir, cuts in one.threshold.items()} == other.threshold
