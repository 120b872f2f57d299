"""What holds of all pages."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TYPED = re.compile(r"(?<!\.venv/bin/)\bpython (?:-m|-c|benchmarks/|examples/|tests/)")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_that_types_python_says_first_which_one(page):
    text = page.read_text()
    typed = TYPED.search(text)
    if typed is not None and page.name not in ("architecture.md", "log.md"):  # of these nobody copies commands
        assert ".venv/bin/python" in text[: typed.start()]
        assert "source .venv/bin/activate" in text[: typed.start()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_of_this_repository_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
        if not link.startswith(("http:", "https:", "mailto:")):
            assert (page.parent / link).exists(), link
