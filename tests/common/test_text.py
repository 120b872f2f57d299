"""Names from outside cannot give orders to a terminal or a spreadsheet."""

import pytest

from common.text import WIDTH, csv_cell, folded, printable


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\r\nb\x7f", "a\\x0d\\x0ab\\x7f"),
        ("\x9b31m", "\\x9b31m"),
        ("abc\u202edef", "abc\\u202edef"),
        ("caf\u00e9 \u5f20\u4f1f", "caf\u00e9 \u5f20\u4f1f"),
        (b"\xff.jpg".decode("utf-8", "surrogateescape"), "\\xff.jpg"),
        ("\U000e0001", "\\U000e0001"),
    ],
)
def test_nothing_a_terminal_obeys_is_left(hostile: str, shown: str) -> None:
    assert printable(hostile) == shown
    assert printable(hostile).isprintable()
    printable(hostile).encode("utf-8")


@pytest.mark.parametrize("text", ["=1+1", "+cmd|x", "-2+3", "@SUM(A1)", "--1"])
def test_no_cell_begins_a_formula(text: str) -> None:
    assert csv_cell(text) == f"'{text}"


@pytest.mark.parametrize("value", ["-0.5", "+1e-3", "-inf", "name", "a=b", -3, 0.25, None])
def test_numbers_and_plain_names_stay_as_they_are(value: object) -> None:
    assert csv_cell(value) == value


def test_folded_lines_fit_the_terminal_and_lose_no_word_and_a_path_is_never_cut() -> None:
    path = "a-long/" * 15 + "face.png"
    text = "one person, by cosine 0.315 (95 %: 0.3 to 0.33) " * 4 + path + "\n" + "  set in " * 20 + "\n\nend\x1b[2J"
    lines = folded(text).split("\n")
    assert " ".join(lines).split() == printable(text.replace("\n", " ")).split()
    assert [line for line in lines if len(line) > WIDTH] == [f"  {path}"]
    assert lines[0].startswith("one person")
    assert lines[1].startswith("  ")
    assert lines[-2:] == ["", "end\\x1b[2J"]
    assert {len(line) - len(line.lstrip()) for line in lines if "set in" in line} == {2, 4}
