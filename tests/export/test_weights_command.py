"""`python -m export weights`: what it writes opens without options and embeds as its source does."""

import numpy as np
import pytest
from click.testing import CliRunner

from common.backbones import build_backbone
from common.config import ModelConfig
from common.models import open_model
from export.__main__ import main
from tests.common.backbones.golden_backbones import fill
from tests.common.models.weight_layouts import LAYOUTS, write


@pytest.fixture(scope="module")
def ir_state():
    """State of a filled IR-18 with 8 dimensions: the family whose channel order circulates both ways."""
    return fill(build_backbone("ir_18", 8)).state_dict()


@pytest.mark.parametrize(
    ("file", "order"), [("adaface.ckpt", "bgr"), ("cvlface.pt", "rgb"), ("cvlface.safetensors", "rgb")]
)
def test_a_converted_checkpoint_opens_without_options_and_embeds_as_before(tmp_path, ir_state, file, order):
    source = write(tmp_path / file, LAYOUTS[file](ir_state))
    done = CliRunner().invoke(main, ["weights", str(source), str(tmp_path / "ours.safetensors")])
    assert done.exit_code == 0, done.output
    faces = np.random.default_rng(0).integers(0, 256, (1, 112, 112, 3), dtype=np.uint8)
    before, after = (open_model(ModelConfig(weights=name), tmp_path) for name in (file, "ours.safetensors"))
    assert np.array_equal(before.embed(faces), after.embed(faces))
    described = after.describe()
    assert (described["architecture"], described["embedding_size"]) == ("ir_18", 8)
    assert (described["channel_order"], described["mean"], described["std"]) == (order, 127.5, 127.5)


def test_bare_ir_keys_do_not_tell_their_channel_order_so_it_must_be_stated(tmp_path, ir_state):
    write(tmp_path / "bare.pth", dict(ir_state))
    done = CliRunner().invoke(main, ["weights", str(tmp_path / "bare.pth"), str(tmp_path / "ours.safetensors")])
    assert done.exit_code == 2
    assert "set channel_order" in done.output
    assert not (tmp_path / "ours.safetensors").exists()
    assert open_model(ModelConfig(weights="bare.pth", channel_order="bgr"), tmp_path).dim == 8
