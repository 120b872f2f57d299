"""Cosine similarities of many template pairs, without gathering two rows for every pair.

15.7 million pairs of IJB-C name only 23,124 templates: computing blocks of the full similarity matrix and picking
the pairs' cells from them costs a fraction of 15.7 million gathered dot products.
"""

import numpy as np

from evaluate.protocols.blocks import over_blocks

# Cells computed for each pair picked, at which the matrix still beats gathering two rows for every pair.
_CELLS_PER_PAIR = 40
# Cells of a block of the matrix: 16 MB in float32.
_BLOCK_CELLS = 1 << 22
# Pairs gathered at once where there are too few for the matrix.
_GATHERED = 256
_WORTH_THREADS = 64
_ALL = slice(None)


class PairScorer:
    """Prepared once for a list of pairs, then applied to each pooling's templates."""

    def __init__(self, first: np.ndarray, second: np.ndarray) -> None:
        """first, second: (P,) row numbers of the two templates of each pair."""
        rows, columns = _used(first), _used(second)
        both = max(len(rows), len(columns))
        self.pairs = len(first)
        if int(rows.sum()) * int(columns.sum()) > both * both // 2:
            # Similarity is symmetric: name the lower row first, and half of the matrix is enough.
            first, second = np.minimum(first, second), np.maximum(first, second)
            rows, columns = _used(first), _used(second)
        self.first, self.second = first, second
        self.rows, self.columns = np.flatnonzero(rows), np.flatnonzero(columns)
        self.dense = len(self.rows) * len(self.columns) <= _CELLS_PER_PAIR * self.pairs
        if self.dense:
            # Pairs grouped by block of rows; block numbers fit 16 bits, which sort in linear time.
            self.height = max(1, _BLOCK_CELLS // len(self.columns), len(self.rows) >> 16)
            self.row_of, self.column_of = _positions(self.rows), _positions(self.columns)
            block = (self.row_of // self.height).astype(np.uint16)[first]
            self.order = np.argsort(block, kind="stable").astype(np.uint32)
            self.ends = np.cumsum(np.bincount(block))

    def scores(self, templates: np.ndarray) -> np.ndarray:
        """(P,) inner products of the pairs' rows of `templates` (T,D), in its dtype."""
        return self._by_matrix(templates) if self.dense else self.of_pairs(templates)

    def of_pairs(self, templates: np.ndarray, numbers: np.ndarray | slice = _ALL) -> np.ndarray:
        """Inner products of some pairs, in the dtype of `templates`: equal rows give equal scores, to the last bit."""
        first, second = self.first[numbers], self.second[numbers]
        scores = np.empty(len(first), templates.dtype)

        def multiply(start: int) -> None:
            block = slice(start, start + _GATHERED)
            np.einsum("pd,pd->p", templates[first[block]], templates[second[block]], out=scores[block])

        starts = range(0, len(first), _GATHERED)
        if len(starts) > _WORTH_THREADS:
            over_blocks(multiply, starts)
        else:
            for start in starts:
                multiply(start)
        return scores

    def _by_matrix(self, templates: np.ndarray) -> np.ndarray:
        scores = np.empty(self.pairs, templates.dtype)
        left, right = templates[self.rows], np.ascontiguousarray(templates[self.columns])

        def pick(number: int) -> None:
            begin, top = self.ends[number - 1] if number else 0, number * self.height
            picked = self.order[begin : self.ends[number]]
            if not len(picked):
                return
            columns = self.column_of[self.second[picked]]
            low, high = int(columns.min()), int(columns.max()) + 1
            matrix = left[top : top + self.height] @ right[low:high].T
            rows = self.row_of[self.first[picked]] - top
            scores[picked] = matrix.ravel()[rows * (high - low) + (columns - low)]

        over_blocks(pick, range(len(self.ends)))
        return scores


def _used(numbers: np.ndarray) -> np.ndarray:
    used = np.zeros(int(numbers.max(initial=-1)) + 1, bool)
    used[numbers] = True
    return used


def _positions(chosen: np.ndarray) -> np.ndarray:
    positions = np.zeros(int(chosen[-1]) + 1, np.int64)
    positions[chosen] = np.arange(len(chosen))
    return positions
