"""docs/python.md runs from top to bottom, and what it says of shapes and results is so."""

import re
from pathlib import Path

import numpy as np
import torch

PAGE = (Path(__file__).parents[1] / "docs" / "python.md").read_text()


def test_the_page_runs_and_gives_what_it_says(finished, capsys):
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert len(blocks) == PAGE.count("```python")
    page: dict = {}
    for block in blocks:
        if "for step in range" in block:
            torch.manual_seed(0)
        exec(compile(block, "docs/python.md", "exec"), page)

    cache, batch = page["cache"], len(page["samples"])
    assert page["confidence"].shape == (3,)
    assert page["centers"].shape == (cache.num_classes, cache.dim)
    np.testing.assert_array_equal(
        page["f_t"].numpy(), cache.gather(page["samples"], page["chosen"]), err_msg="rows of the views shown"
    )
    # The loop learned: 1 - cos of unrelated directions is 1.
    assert page["loss"].item() < 0.9
    assert page["out"].loss.item() > 0
    for name in re.findall(r"\w+", re.search(r"# out\.stats: (.*)", PAGE)[1]):
        assert name in page["out"].stats, name
    assert page["embeddings"].shape == (batch, page["model"].dim)
    assert page["scores"].shape == page["neighbours"].shape == (20, 5)
    said = capsys.readouterr().out
    assert "35 faces of 7 people, 2 views each, 16 dimensions" in said
    assert f"accuracy {page['result'].accuracy:.2%}" in said


def test_every_import_of_the_page_is_a_door_or_a_file_of_the_corridor():
    doors = {"cache.format", "distill.head", "evaluate.files", "evaluate.protocols"}
    doors |= {"common.backbones", "common.config", "common.embeddings", "common.faces", "common.models"}
    imported = set(re.findall(r"^from ((?:cache|common|distill|evaluate)[\w.]*) import", PAGE, re.MULTILINE))
    assert imported <= doors | {"cache.reader"}
