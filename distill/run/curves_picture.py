"""curves.png: how a run's loss fell, and how its student got on with the sets it was evaluated on."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import TypeAdapter

from common.documents import read_regular
from common.errors import DataError
from common.figures import COLOURS, in_picture, new_figure, save_png

NAME = "curves.png"
_LINES = TypeAdapter(dict[str, float | None])

Numbers = Mapping[str, float | None]


def draw_curves(run_dir: Path, title: str, shown: Sequence[str]) -> None:
    """Draw the loss and the numbers `shown` (SET.METRIC, fractions) over the epochs of a run's `metrics.jsonl`.

    Raises DataError where that cannot be read, OSError where the picture cannot be written.
    """
    content = read_regular(run_dir / "metrics.jsonl", DataError, "the run writes it")
    lines: list[Numbers] = [_LINES.validate_json(line) for line in content.splitlines()]
    figure, left = new_figure(title)
    epochs, losses = series(lines, "loss")
    left.plot(epochs, losses, color="0.45", linewidth=1.2, label="loss")
    left.set_xlabel("epoch")
    left.set_ylabel("loss")
    left.set_xlim(left=0)
    left.set_ylim(bottom=0)
    right = left.twinx()
    right.spines[["top", "left"]].set_visible(False)
    for number, name in enumerate(shown):
        places, values = series(lines, name)
        percent = [100 * value for value in values]
        last = f" {percent[-1]:.2f}" if percent else ""
        colour = COLOURS[number % len(COLOURS)]
        right.plot(places, percent, marker="o", markersize=3.5, color=colour, label=in_picture(f"{name} %{last}"))
    right.set_ylabel("%")
    handles = [*left.get_legend_handles_labels()[0], *right.get_legend_handles_labels()[0]]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=8)  # curves go anywhere
    save_png(figure, run_dir / NAME, dpi=130)


def series(lines: Sequence[Numbers], name: str) -> tuple[list[float], list[float]]:
    """Epochs and values of the lines that have a number of that name."""
    found = [(line["epoch"], line[name]) for line in lines if line.get(name) is not None]
    return [epoch for epoch, _ in found if epoch is not None], [value for _, value in found if value is not None]
