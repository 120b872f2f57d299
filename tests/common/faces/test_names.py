"""What a person calls a picture is put together for an error alone: for a path it takes a good part of decoding it."""

import re
from pathlib import Path

import numpy as np
import pytest

from common.errors import DataError
from common.faces.fitting import Fit
from common.faces.pixels import encode_jpeg
from common.faces.recordio_dataset import write_recordio_dataset
from common.faces.sources import open_source
from tests.tiny import portrait

SIZE = (100, 96)


@pytest.fixture(params=["recordio", "folder"])
def folder(request, tmp_path) -> Path:
    """Two pictures of a person, the second of which is too small to be cropped."""
    pictures = [encode_jpeg(portrait(0, 0)), encode_jpeg(portrait(0, 1)[:50])]
    if request.param == "recordio":
        write_recordio_dataset(tmp_path, [pictures])
    else:
        (tmp_path / "someone").mkdir()
        for number, picture in enumerate(pictures):
            (tmp_path / f"someone/{number}.jpg").write_bytes(picture)
    return tmp_path


def test_a_picture_that_decodes_and_fits_is_not_named(folder, monkeypatch):
    source = open_source(folder, fit=Fit("crop", SIZE))
    named: list[int] = []
    name = type(source).name
    monkeypatch.setattr(type(source), "name", lambda self, sample: named.append(sample) or name(self, sample))
    assert source.rgb(0).shape == source.rgb(0, np.empty((112, 112, 3), np.uint8)).shape == (*SIZE, 3)
    assert named == []
    with pytest.raises(DataError, match=re.escape(name(source, 1))):
        source.rgb(1)
    assert named == [1]
