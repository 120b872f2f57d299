"""Unit rows: of any real type, without an overflow on the way, and with what is no direction left visible."""

import numpy as np
import pytest

from common.vectors import unit_rows


@pytest.mark.parametrize("stored", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("kept", [np.float32, np.float64])
def test_rows_have_their_direction_and_length_one(stored, kept):
    rows = (np.random.default_rng(0).standard_normal((5, 300)) * 100).astype(stored)
    unit = unit_rows(rows, kept)
    assert unit.dtype == kept
    for row, found in zip(rows.tolist(), unit, strict=True):
        length = sum(value * value for value in row) ** 0.5
        np.testing.assert_allclose(found, [value / length for value in row], rtol=1e-6)


def test_zeros_stay_and_what_is_not_finite_shows():
    unit = unit_rows(np.array([[0, 0], [np.nan, 1], [np.inf, 1], [3, 4]]))
    assert unit[0].tolist() == [0, 0]
    assert np.isnan(unit[1:3]).any(1).all()
    assert unit[3].tolist() == [0.6, 0.8]
