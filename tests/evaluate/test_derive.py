"""Sets made of sets: which pairs, in which order, and what became of the pictures."""

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from common.errors import DataError, UserError
from common.faces import decode_rgb, encode_jpeg, encode_png, write_bin
from evaluate.__main__ import main
from evaluate.derive import derive, parse_part
from evaluate.files import load_bin
from evaluate.protocols import ten_fold


@pytest.fixture
def source(tmp_path):
    """40 pairs in blocks of 10 of a kind; picture i is of the colour i."""
    pictures = [encode_png(np.full((32, 24, 3), number, np.uint8)) for number in range(80)]
    write_bin(tmp_path / "whole.bin", pictures, (np.arange(40) // 10) % 2 == 0)
    return tmp_path / "whole.bin"


def test_a_part_has_its_pairs_with_both_kinds_even_in_every_block(source, tmp_path):
    said = derive(source, tmp_path / "half.bin", parse_part("20:40"))
    whole, issame = load_bin(source)
    pictures, same = load_bin(tmp_path / "half.bin")
    number_of = {picture: number for number, picture in enumerate(whole)}
    numbers = np.array([number_of[picture] for picture in pictures]).reshape(-1, 2)
    assert sorted(numbers[:, 0] // 2) == list(range(20, 40))
    assert (numbers[:, 1] == numbers[:, 0] + 1).all()
    assert np.array_equal(issame[numbers[:, 0] // 2], same)
    assert same.reshape(10, 2).sum(1).tolist() == [1] * 10
    assert (np.diff(numbers[same, 0]) > 0).all()
    assert (np.diff(numbers[~same, 0]) > 0).all()
    assert said.endswith("20 pairs, 10 of one person")
    ten_fold(np.eye(20), np.eye(20), same)  # no block of one kind


def test_a_poor_probe_is_opencvs_area_and_cubic_and_the_other_picture_keeps_its_bytes(tmp_path):
    draw = np.random.default_rng(0)
    faces = [encode_jpeg(draw.integers(0, 256, (112, 96, 3), np.uint8)) for _ in range(4)]
    write_bin(tmp_path / "whole.bin", faces, [True, False])
    derive(tmp_path / "whole.bin", tmp_path / "poor.bin", side=16)
    pictures, issame = load_bin(tmp_path / "poor.bin")
    assert issame.tolist() == [True, False]
    assert pictures[::2] == faces[::2]
    for before, after in zip(faces[1::2], pictures[1::2], strict=True):
        small = cv2.resize(decode_rgb(before, ""), (14, 16), interpolation=cv2.INTER_AREA)
        expected = cv2.resize(small, (96, 112), interpolation=cv2.INTER_CUBIC)
        assert np.abs(decode_rgb(after, "").astype(int) - expected).max() <= 1  # Intel's library may round otherwise


def test_what_cannot_be_made_is_one_line(source, tmp_path):
    out = tmp_path / "out.bin"
    with pytest.raises(DataError, match=r"40 pairs, but --pairs asks for 30:50"):
        derive(source, out, slice(30, 50))
    with pytest.raises(DataError, match=r"pairs 0:10 are all of one kind"):
        derive(source, out, slice(0, 10))
    with pytest.raises(DataError, match=r"picture 1: 24x32 pixels, fewer than the 33"):
        derive(source, out, side=33)
    for text in ("5", "9:3", "4:4", "-1:3", "a:b"):
        with pytest.raises(UserError, match="say START:STOP"):
            parse_part(text)
    assert not out.exists()


def test_the_command_makes_a_set_and_wants_to_know_which(source, tmp_path):
    out = tmp_path / "out.bin"
    assert CliRunner().invoke(main, ["derive", str(source), str(out)]).exit_code == 2
    done = CliRunner().invoke(main, ["derive", str(source), str(out), "--pairs", "0:20", "--probe-side", "8"])
    assert done.exit_code == 0, done.output
    assert len(load_bin(out)[1]) == 20
