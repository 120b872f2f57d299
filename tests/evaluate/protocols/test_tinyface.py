"""TinyFace against the numbers of the public evaluators."""

import json

import numpy as np
import pytest

from common.errors import DataError
from evaluate.protocols.tinyface import evaluate_tinyface


def assert_equals_reference(result, reference):
    for k, rate in result.rank.items():
        # The references' percentages are float32.
        assert np.float32(100) * np.float32(rate) == pytest.approx(reference["cvlface"][f"rank-{k}"], rel=1e-6)
    best = np.array(reference["best_mate_rank_by_probe_order_of_probe_paths_0_means_no_mate"])
    best = best[best > 0]
    assert np.array_equal(result.mate_ranks, np.where(best <= 50, best, 0))
    assert (result.mates, result.distractors) == (reference["gallery_mates"], reference["distractors"])
    assert result.probes_without_mate == reference["probes_without_mate"]


@pytest.fixture
def protocol(golden):
    return dict(np.load(golden / "tinyface/synthetic_in.npz"))


def test_synthetic_protocol_gives_the_reference_numbers(golden, protocol):
    reference = json.loads((golden / "tinyface/synthetic.json").read_text())["results"]["features"]
    assert_equals_reference(evaluate_tinyface(protocol["features"], protocol), reference)


@pytest.mark.real
@pytest.mark.parametrize("features", ["flipsum", "plain"])
def test_real_small_faces_give_the_reference_numbers(real_file, features):
    stored = np.load(real_file("golden/tinyface/tinylfw_sface.npz"))
    meta = dict(np.load(real_file("golden/tinyface/tinylfw_aligned_pad_0.1_protocol.npz")))
    embeddings = stored["emb"] + stored["emb_flip"] if features == "flipsum" else stored["emb"]
    reference = json.loads(real_file("golden/tinyface/tinylfw.json").read_text())["results"][features]
    assert_equals_reference(evaluate_tinyface(embeddings, meta), reference)


def test_a_distractor_of_zeros_changes_next_to_nothing(protocol):
    features = protocol["features"].copy()
    names = [path.split("/")[-1].split(".")[0] for path in protocol["image_paths"]]
    features[names.index(protocol["distractor_paths"][0].split("/")[-1].split(".")[0])] = 0
    with_zero = evaluate_tinyface(features, protocol)
    assert with_zero.rank[1] == pytest.approx(evaluate_tinyface(protocol["features"], protocol).rank[1], abs=0.01)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"probe_paths": None}, "no 'probe_paths'"),
        ({"image_paths": np.array(["1_1.png"])}, "1 images in the protocol"),
        ({"gallery_paths": np.array(["5_77.jpg"])}, "no probe has a mate"),
        ({"probe_paths": np.array(["x/face.jpg"])}, "must start with the person's number"),
        ({"distractor_paths": np.array(["-1_999999.jpg"])}, "no image has this name"),
        ({"probe_paths": np.array([1, 2])}, "file names"),
        ({"probe_paths": np.array(["1_a.jpg", 2], object)}, "file names"),
    ],
)
def test_a_protocol_that_does_not_fit_is_refused(protocol, change, message):
    meta = {name: column for name, column in (protocol | change).items() if column is not None}
    with pytest.raises(DataError, match=message):
        evaluate_tinyface(protocol["features"], meta)


def test_two_images_of_one_name_are_refused_where_it_matters(protocol):
    images = protocol["image_paths"].copy()
    images[0] = images[1]
    with pytest.raises(DataError, match="image has this name"):
        evaluate_tinyface(protocol["features"], protocol | {"image_paths": images})


def test_embeddings_with_nan_are_refused(protocol):
    features = protocol["features"].copy()
    features[5] = np.nan
    with pytest.raises(DataError, match="NaN"):
        evaluate_tinyface(features, protocol)
