"""Text from outside in a page is shown as it is: what a Markdown reader makes of it is that text and nothing else."""

import html
import re

from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from common.text import printable
from export.card.markdown import fenced, plain, table

READER = MarkdownIt("commonmark").enable("table")
SIGNS = st.text(st.sampled_from("ab1 |`*_~[]()<>!#&;:/\\-+=.\"'${}@\n\t\x1b"), max_size=30)


def text_of(rendered: str) -> str:
    """What somebody who looks at the page reads; spaces in a row are one, as on a screen."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", "", rendered)).split())


def tags(rendered: str) -> set[str]:
    return set(re.findall(r"<(\w+)", rendered))


@given(SIGNS)
@example("<img src=x onerror=alert(1)>")
@example("[x](javascript:alert(1))")
@example("&lt;b&gt;")
@example("a_b_ _c_ __d__")
@example("1. x")
@example("--- ")
def test_a_cell_shows_a_text_and_obeys_none_of_it(text):
    page = READER.render(table(("h", "i"), [(text, "end")]))
    assert tags(page) == {"table", "thead", "tbody", "tr", "th", "td"}
    cells = re.findall(r"<td>(.*?)</td>", page, re.DOTALL)
    assert [text_of(cell) for cell in cells] == [" ".join(printable(text).split()), "end"]


@given(SIGNS)
def test_a_text_in_a_sentence_shows_as_it_is(text):
    page = READER.render(f"Of {plain(text)} x.")
    assert tags(page) == {"p"}
    assert text_of(page) == " ".join(f"Of {printable(text).strip()} x.".split())


@given(st.lists(SIGNS, max_size=4).map("\n".join))
@example("```\n# out\n````")
def test_a_block_of_code_ends_where_it_should(text):
    page = READER.render(fenced(text, "toml") + "\n\nafter")
    assert page.endswith("</code></pre>\n<p>after</p>\n")
    assert tags(page) == {"pre", "code", "p"}


def test_addresses_become_no_links():
    shown = plain("see https://evil.example or www.evil.example or a@b.example")
    assert "://" not in shown
    assert "www." not in shown
    assert "@" not in shown
