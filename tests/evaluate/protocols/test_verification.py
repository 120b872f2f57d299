"""Pair verification against the numbers of the public evaluators (InsightFace, CVLface, AdaFace)."""

import json

import numpy as np
import pytest

from common.errors import DataError
from evaluate.protocols.verification import _threshold_at_far, pair_distances, ten_fold, verify_distances

PEERS = ("insightface", "cvlface", "adaface")


def assert_equals_reference(result, reference):
    for ours, theirs in [
        ("accuracy", "accuracy_mean"),
        ("accuracy_std", "accuracy_std"),
        ("fold_accuracy", "accuracy"),
        ("val", "val"),
        ("val_std", "val_std"),
        ("val_far", "far"),
        ("tpr", "tpr"),
        ("fpr", "fpr"),
        ("fold_thresholds", "best_thresholds"),
    ]:
        if theirs in reference:
            np.testing.assert_allclose(getattr(result, ours), reference[theirs], rtol=0, atol=1e-14, err_msg=ours)


@pytest.mark.parametrize("name", ["lfw_folds12", "lfw_official6000"])
@pytest.mark.parametrize("features", ["plain_f64", "flipsum_f64", "flipsum_f32"])
def test_lfw_distances_give_the_reference_numbers(golden, name, features):
    stored = np.load(golden / f"verification/{name}.npz")
    reference = json.loads((golden / f"verification/{name}.json").read_text())["results"][features]
    result = verify_distances(stored[f"dist_{features}"], stored["issame"])
    for peer in PEERS:
        assert_equals_reference(result, reference[peer])


@pytest.mark.parametrize("case", ["hard", "easy", "tiny", "with_zero_distances", "sorted_by_label"])
@pytest.mark.parametrize("folds", [10, 5])
def test_synthetic_embeddings_give_the_reference_numbers(golden, case, folds):
    stored = np.load(golden / "verification/synthetic.npz")
    reference = json.loads((golden / "verification/synthetic.json").read_text())["cases"][case][str(folds)]
    rows, issame = stored[f"{case}_emb"], stored[f"{case}_issame"]
    if "raises" in reference["insightface"]:
        with pytest.raises(DataError, match=r"fold \d+ of \d+ has no pair of"):
            ten_fold(rows[0::2], rows[1::2], issame, folds=folds)
        return
    result = ten_fold(rows[0::2], rows[1::2], issame, folds=folds)
    for peer in PEERS:
        assert_equals_reference(result, reference[peer])


@pytest.mark.real
def test_real_embeddings_give_the_reference_distances_and_numbers(real_file):
    stored = np.load(real_file("golden/verification/lfw_folds12.npz"))
    reference = json.loads(real_file("golden/verification/lfw_folds12.json").read_text())["results"]
    # The mirror image is added in float32 here and in float64 there: that is the 1e-7.
    for features, rows, bound in [
        ("plain", stored["emb"], 1e-14),
        ("flipsum", stored["emb"] + stored["emb_flip"], 1e-7),
    ]:
        distances = pair_distances(rows[0::2], rows[1::2])
        np.testing.assert_allclose(distances, stored[f"dist_{features}_f64"], rtol=0, atol=bound)
        assert_equals_reference(
            ten_fold(rows[0::2], rows[1::2], stored["issame"]), reference[f"{features}_f64"]["adaface"]
        )


def pairs(count: int = 40):
    rng = np.random.default_rng(0)
    a = rng.standard_normal((count, 8)).astype(np.float32)
    return a, a + rng.standard_normal((count, 8)).astype(np.float32), np.arange(count) % 2 == 0


def test_lengths_of_embeddings_do_not_matter():
    a, b, issame = pairs()
    scaled = a * np.linspace(0.01, 100, len(a), dtype=np.float32)[:, None]
    np.testing.assert_allclose(ten_fold(scaled, b, issame).distances, ten_fold(a, b, issame).distances, atol=1e-6)


def test_identical_rows_are_at_distance_zero_and_never_accepted_at_threshold_zero():
    a, _, issame = pairs()
    result = ten_fold(a, a, issame)
    assert not result.distances.any()
    assert result.tpr[0] == result.fpr[0] == 0.0
    assert result.tpr[1] == result.fpr[1] == 1.0


def test_a_row_of_zeros_is_at_distance_one():
    a, b, issame = pairs()
    a[3] = 0
    assert ten_fold(a, b, issame).distances[3] == pytest.approx(1.0)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_embeddings_that_are_not_finite_are_refused_with_their_pair(wrong):
    a, b, issame = pairs()
    b[7, 2] = wrong
    with pytest.raises(DataError, match="pair 7 has a distance that is NaN"):
        ten_fold(a, b, issame)


def test_shapes_that_do_not_match_are_refused():
    a, b, issame = pairs()
    with pytest.raises(DataError, match="of one shape"):
        ten_fold(a, b[:-1], issame)
    with pytest.raises(DataError, match="40 distances for 39 labels"):
        ten_fold(a, b, issame[:-1])
    with pytest.raises(DataError, match="4 pairs cannot be split into 10 folds"):
        ten_fold(a[:4], b[:4], issame[:4])


def test_a_threshold_between_two_stairs_lies_on_the_line_from_the_end_of_one_to_the_start_of_the_other():
    far, thresholds = np.array([0, 0.1, 0.1, 0.5, 0.5]), np.array([0, 1.0, 2.0, 3.0, 4.0])
    for target, expected in ((0.2, 2.25), (0.3, 2.5), (0.05, 0.5)):
        assert _threshold_at_far(far, thresholds, target) == pytest.approx(expected, abs=1e-12)


def test_a_summary_gives_thresholds_as_the_cosines_of_unit_vectors():
    """Of unit rows at an angle: cos = 1 - d / 2 for the squared distance d."""
    cosine = np.array([0.9, 0.1, 0.8, 0.2])
    result = verify_distances(2 - 2 * cosine, np.array([True, False, True, False]), folds=2, far_targets=(0.5,))
    summary = result.summary()
    assert result.impostors == 2
    assert summary["threshold"] == pytest.approx(1 - result.threshold / 2, abs=1e-12)
    assert summary["tar_at_most_far"]["0.5"]["threshold"] == pytest.approx(0.8, abs=1e-12)
