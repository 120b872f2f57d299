"""The faces an experiment names are those that are there, or it is said what to do."""

from pathlib import Path

import pytest

from common.faces.sources import open_faces
from tests.tiny import experiment


def test_missing_faces_say_where_to_get_them(world):
    config = experiment(faces={"path": "nowhere", "origin": "Ask the librarian."})
    with pytest.raises(ValueError, match=r"data/nowhere: no training faces there\. Ask the librarian\."):
        open_faces(config, Path("data"))


def test_other_numbers_than_expected_are_refused(world):
    with pytest.raises(ValueError, match="35 samples, the config expects 36"):
        open_faces(experiment(faces={"samples": 36}), Path("data"))
