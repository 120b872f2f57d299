"""What a person sees of a table: whole names, every number, never more than 80 columns."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from common.text import WIDTH
from evaluate.report import results_table
from evaluate.report.compare import comparison_table
from evaluate.report.grid import Grid, Row, lay_out

SETS = ("lfw", "cfp_fp", "cfp_ff", "agedb_30", "calfw", "cplfw", "vgg2_fp")
NAME = st.text("abcdefgh_-.()", min_size=1, max_size=60)


def printed(table, terminal=False):
    file = io.StringIO()
    Console(width=WIDTH, file=file, force_terminal=terminal, no_color=True, color_system=None).print(table)
    return file.getvalue()


@st.composite
def grids(draw):
    kinds = draw(st.sampled_from([("model",), ("model", "set"), ("model", "set", "letters")]))
    firsts = draw(st.lists(NAME, min_size=1, max_size=4, unique=True))
    lasts = [("model",)] if len(kinds) == 1 else draw(st.lists(st.tuples(*[NAME] * (len(kinds) - 1)), max_size=9))
    headings = tuple(f"h{number}" for number in range(draw(st.integers(1, 14))))
    names = [(first, *(last if len(kinds) > 1 else ())) for first in firsts for last in lasts or [("s",) * 2][:1]]
    rows = [
        Row(
            tuple(name)[: len(kinds)],
            {heading: f"{1000 + 14 * place + number}" for number, heading in enumerate(headings)},
        )
        for place, name in enumerate(names)
    ]
    return Grid("Title", kinds, headings, rows, "what it means")


@settings(max_examples=60, deadline=None)
@given(grids())
def test_every_table_fits_80_columns_and_shows_every_name_and_number_whole(grid):
    text = printed(lay_out(grid))
    assert max(map(len, text.splitlines())) <= 80
    for row in grid.rows:
        for shown in (*row.names, *row.numbers.values()):
            assert shown in text
    assert text.index("Title") < text.index("what it means")
    assert printed(lay_out(grid), terminal=True) == text


def test_a_table_with_room_is_a_line_a_row():
    grid = Grid("T", ("model", "set"), ("a", "b"), [Row(("m", "s"), {"a": "1", "b": "2"})], "legend")
    assert ["m", "s", "1", "2"] in [line.split() for line in printed(lay_out(grid)).splitlines()]


@pytest.mark.parametrize(
    ("sets", "across"), [(SETS[:2], ["set", "lfw", "cfp_fp"]), (SETS[:1], ["model", "one", "two"])]
)
def test_a_table_without_room_is_turned_and_what_differs_stands_side_by_side(sets, across):
    headings = tuple(f"number {n}" for n in range(9))
    rows = [Row((m, s), {h: f"{m}{s}{h[-1]}" for h in headings}) for m in ("one", "two") for s in sets]
    lines = [line.split() for line in printed(lay_out(Grid("T", ("model", "set"), headings, rows, ""))).splitlines()]
    assert across in lines


def reports(*accuracies):
    return {
        f"model-{number}": {name: {"accuracy": accuracy - 0.01 * place} for place, name in enumerate(SETS[:2])}
        for number, accuracy in enumerate(accuracies)
    }


def test_a_comparison_ends_in_the_mean_over_the_sets():
    lines = [line.split() for line in printed(comparison_table(reports(0.9, 0.95))).splitlines()]
    assert ["model-0", "90.00", "89.00", "89.50"] in lines
    assert ["model-1", "95.00", "(+5.00)", "94.00", "(+5.00)", "94.50", "(+5.00)"] in lines


def test_a_model_that_lacks_a_set_has_no_mean():
    found = reports(0.9, 0.95)
    del found["model-1"]["cfp_fp"]
    lines = [line.split() for line in printed(comparison_table(found)).splitlines()]
    assert ["model-1", "95.00", "(+5.00)"] in lines


class Summarised:
    """A result of a protocol that the tables do not know."""

    def summary(self):
        return {"accuracy": 0.98765, "by_age": {"30": 0.5}, "pairs": 12}


def test_a_result_without_a_table_of_its_own_is_shown_with_all_its_numbers():
    text = printed(results_table({"student": {"ages": Summarised()}}))
    for word in ("student", "ages", "accuracy", "by_age_30", "pairs", "0.9877", "0.5", "12"):
        assert word in text, word
