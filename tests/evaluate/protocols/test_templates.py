"""IJB templates against the numbers of the public evaluators and against the plain definition."""

import json

import numpy as np
import pytest

from common.errors import DataError
from evaluate.protocols.metrics import Roc
from evaluate.protocols.pair_scores import PairScorer
from evaluate.protocols.pooling import COMMON, Pooling, pool_templates
from evaluate.protocols.templates import FARS, evaluate_templates

ALL_FOUR = (*COMMON, Pooling(False, False))


@pytest.fixture(scope="module")
def protocol(golden):
    return dict(np.load(golden / "ijb/synthetic_in.npz"))


@pytest.fixture(scope="module")
def result(protocol):
    return evaluate_templates(protocol["embeddings"], protocol, poolings=ALL_FOUR)


def reference_key(pooling):
    return f"Norm:{pooling.norm}_Det:{pooling.detection}"


def assert_equals_reference(result, reference):
    """1:1 exactly; 1:N rates exactly, thresholds to 1e-6 (the references average rows in float32)."""
    for pooling in ALL_FOUR:
        key, ours = reference_key(pooling), result.poolings[pooling.letters]
        table = [f"{100 * point.tar:.2f}" for point in ours.tar_at_far.values()]
        assert table == reference["insightface_eval_ijbc_table"][key]
        assert ours.auc == pytest.approx(reference["auc"][key], abs=1e-12)
        for far in FARS:
            if pooling in COMMON:
                point = ours.tar_at_far[far]
                assert 100 * point.tar == reference["result"][f"{key}_tpr_at_fpr_{far}"]
                assert point.threshold == pytest.approx(reference["result"][f"{key}_thresh_at_fpr_{far}"], abs=1e-6)
        one_to_many = reference["one_to_many"][key]
        pooled = one_to_many["closed_set_all_gallery"]["insightface_ijb_1n"]
        alone = one_to_many["two_galleries_open_set"]
        for k in (1, 5, 10):
            assert ours.closed_set.rank[k] == pytest.approx(pooled[f"top{k}"], abs=1e-12)
            assert ours.two_galleries.rank[k] == pytest.approx(alone["mean"][f"top{k}"], abs=1e-12)
        for entry in pooled["pooled_negatives"]:
            assert ours.closed_set.tpir_at_fpir[entry["far"]] == pytest.approx(entry["recall"], abs=1e-9)
            assert ours.closed_set.threshold[entry["far"]][0] == pytest.approx(entry["threshold"], abs=1e-6)
        for fpir in (0.01, 0.1):
            place = alone["g1"]["fpir"].index(fpir)
            assert ours.two_galleries.tpir_at_fpir[fpir] == pytest.approx(alone["mean"]["tpir"][place], abs=1e-12)
            thresholds = [alone[gallery]["threshold"][place] for gallery in ("g1", "g2")]
            assert ours.two_galleries.threshold[fpir] == pytest.approx(thresholds, abs=1e-6)


def test_synthetic_protocol_gives_the_reference_numbers(golden, result):
    assert_equals_reference(result, json.loads((golden / "ijb/synthetic.json").read_text()))


def test_templates_and_scores_are_the_references(golden, protocol):
    reference = np.load(golden / "ijb/synthetic_arrays.npz")
    names = ("templates", "medias", "faceness_scores")
    ids, pooled = pool_templates(protocol["embeddings"], *(protocol[name] for name in names), ALL_FOUR)
    assert np.array_equal(ids, reference["unique_templates"])
    scorer = PairScorer(*(np.searchsorted(ids, protocol[name]) for name in ("p1", "p2")))
    for pooling in ALL_FOUR:
        key = reference_key(pooling)
        np.testing.assert_allclose(pooled[pooling], reference[f"template_{key}"], rtol=0, atol=1e-6)
        np.testing.assert_allclose(scorer.scores(pooled[pooling]), reference[f"score_{key}"], rtol=0, atol=1e-6)


def test_roc_cases_are_the_references(golden):
    for name, case in json.loads((golden / "ijb/roc_cases.json").read_text())["cases"].items():
        roc = Roc.of(np.array(case["scores"]), np.array(case["label"]) == 1)
        for far in FARS:
            point = roc.tar_nearest(far)
            assert 100 * point.tar == case["result"][f"tpr_at_fpr_{far}"], (name, far)
            threshold = case["result"][f"thresh_at_fpr_{far}"]
            assert not np.isfinite(threshold) or point.threshold == threshold, (name, far)


@pytest.mark.real
def test_real_degraded_faces_give_the_reference_numbers(real_file):
    stored = np.load(real_file("golden/ijb/IJBLFW_sface.npz"))
    meta = dict(np.load(real_file("golden/ijb/IJBLFW_gt_aligned_protocol.npz")))
    result = evaluate_templates(stored["emb"] + stored["emb_flip"], meta, flip=True, poolings=ALL_FOUR)
    assert_equals_reference(result, json.loads(real_file("golden/ijb/IJBLFW.json").read_text()))
    assert result.letters["N1D1"] == "N1D1F1"


def test_pooling_is_the_definition(protocol):
    """Template by template, medium by medium, as the protocol says it."""
    part = {name: protocol[name][:400] for name in ("templates", "medias", "faceness_scores")}
    rows = protocol["embeddings"][:400].astype(np.float64)
    ids, pooled = pool_templates(protocol["embeddings"][:400], *part.values(), ALL_FOUR)
    for pooling in ALL_FOUR:
        weighted = rows if pooling.norm else rows / np.linalg.norm(rows, axis=1, keepdims=True)
        if pooling.detection:
            weighted = weighted * part["faceness_scores"][:, None].astype(np.float64)
        for number, template in enumerate(ids):
            mine = part["templates"] == template
            media = np.unique(part["medias"][mine])
            total = sum(weighted[mine & (part["medias"] == medium)].mean(axis=0) for medium in media)
            np.testing.assert_allclose(pooled[pooling][number], total / np.linalg.norm(total), atol=1e-12)


@pytest.mark.parametrize(("rows", "columns"), [(30, 30), (5, 30), (30, 3)])
@pytest.mark.parametrize("block", [7, 100, 1 << 20])
def test_scores_by_matrix_and_by_pair_are_the_same(monkeypatch, rows, columns, block):
    monkeypatch.setattr("evaluate.protocols.pair_scores._BLOCK_CELLS", block)
    rng = np.random.default_rng(0)
    templates = rng.standard_normal((40, 16))
    first, second = rng.integers(0, rows, 500), rng.integers(40 - columns, 40, 500)
    scorer = PairScorer(first, second)
    assert scorer.dense
    expected = np.einsum("pd,pd->p", templates[first], templates[second])
    np.testing.assert_allclose(scorer.scores(templates), expected, atol=1e-12)
    monkeypatch.setattr("evaluate.protocols.pair_scores._CELLS_PER_PAIR", 0)
    by_pair = PairScorer(first, second)
    assert not by_pair.dense
    np.testing.assert_allclose(by_pair.scores(templates), expected, atol=1e-12)


def test_a_row_of_zeros_adds_nothing_and_a_template_of_zeros_scores_zero(protocol):
    embeddings = protocol["embeddings"].copy()
    embeddings[protocol["templates"] == protocol["p1"][0]] = 0
    result = evaluate_templates(embeddings, protocol)
    assert all(np.isfinite(pooling.auc) for pooling in result.poolings.values())


def test_float32_scores_of_large_protocols_change_no_rate_here(monkeypatch, protocol, result):
    monkeypatch.setattr("evaluate.protocols.templates._EXACT_PAIRS", 0)
    fast = evaluate_templates(protocol["embeddings"], protocol)
    for letters, pooling in fast.poolings.items():
        exact = result.poolings[letters]
        assert [point.tar for point in pooling.tar_at_far.values()] == [
            point.tar for point in exact.tar_at_far.values()
        ]
        assert pooling.two_galleries.tpir_at_fpir == exact.two_galleries.tpir_at_fpir
        assert pooling.auc == pytest.approx(exact.auc, abs=1e-7)


def test_without_galleries_there_is_only_verification(protocol):
    meta = {name: protocol[name] for name in ("faceness_scores", "templates", "medias", "p1", "p2", "label")}
    result = evaluate_templates(protocol["embeddings"], meta)
    assert result.poolings["N1D1"].closed_set is None
    assert "closed_set" not in result.summary()["N1D1F?"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"templates": None}, "no 'templates'"),
        ({"p2": None}, "no 'p2'"),
        ({"medias": np.arange(5)}, "medias has 5 entries for 2823 embeddings"),
        ({"label": np.zeros(3, int)}, "label has 3 entries for 25391 pairs"),
        ({"label": np.full(25391, 2)}, "neither 0 nor 1"),
        ({"label": np.zeros(25391, int)}, "no genuine pairs"),
        ({"p1": np.full(25391, 3)}, "p1 names template 3 at entry 0, which has no images"),
        ({"p1": np.full(25391, -(2**62))}, "which has no images"),
        ({"p1": np.full(25391, 2**62)}, "which has no images"),
        ({"templates": np.full(2823, 0.5)}, "expected whole numbers"),
        ({"templates": np.array(["a"] * 2823)}, "must be one row of numbers"),
        ({"faceness_scores": np.full(2823, np.nan)}, "NaN"),
        ({"g1_subjects": None}, "no 'g1_subjects'"),
        ({"probe_subjects": np.full(242, -7)}, "no mate in the gallery"),
        ({"g1_subjects": np.full(60, 1001)}, "is in the gallery 60 times"),
        ({"probe_templates": np.full(242, 1)}, "probe_templates names template 1"),
    ],
)
def test_a_protocol_that_does_not_fit_is_refused(protocol, change, message):
    meta = {name: column for name, column in (protocol | change).items() if column is not None}
    with pytest.raises(DataError, match=message):
        evaluate_templates(protocol["embeddings"], meta)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_an_embedding_that_is_not_finite_is_refused_with_its_row(protocol, wrong):
    embeddings = protocol["embeddings"].copy()
    embeddings[1234, 5] = wrong
    with pytest.raises(DataError, match="row 1234"):
        evaluate_templates(embeddings, protocol)
