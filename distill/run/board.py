"""A run in TensorBoard: charts in groups, few a set, and the configuration beside them."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from common.config import Config, toml_of
from distill.histograms import edges, histograms, is_share

CHARTS_A_SET = 12
_GROUPS = {
    "pace": ("epoch", "faces_per_second", "data_wait"),
    "distillation": ("cos_st", "lam", "alpha", "geometry", "margin_loss", "match", "logits", "relation"),
}
_GROUP_OF = {name: group for group, names in _GROUPS.items() for name in names}


class Board:
    """Event files in a run's `tensorboard/`."""

    def __init__(self, run_dir: Path, step: int) -> None:
        """step: the last that counts; charts drop what earlier event files say of later ones."""
        self._writer = SummaryWriter(str(run_dir / "tensorboard"), purge_step=step + 1)

    def describe(self, config: Config) -> None:
        """The configuration as text, and as hparams with the loss (and `best_by`) as their metrics."""
        self._writer.add_text("configuration", f"```toml\n{toml_of(config)}\n```")
        metrics = ["loss", *([config.train.best_by] if config.train.best_by else [])]
        options = dict(_options(config.model_dump(mode="json")))
        for summary in hparams(options, {tag_of(metric): 0.0 for metric in metrics}):
            self._writer._get_file_writer().add_summary(summary)

    def add(self, step: int, numbers: Mapping[str, float], always: str | None = None) -> None:
        """Charts of numbers by name; of a set at most CHARTS_A_SET, its first, with `always` among them."""
        single = {name: value for name, value in numbers.items() if not is_share(name)}
        for name in charted(single, always):
            self._writer.add_scalar(tag_of(name), single[name], step)
        for name, shares in histograms(numbers).items():
            self._add_histogram(tag_of(name), step, shares)

    def _add_histogram(self, tag: str, step: int, shares: Sequence[float]) -> None:
        ends = edges()
        middles = [(low + high) / 2 for low, high in pairwise(ends)]
        self._writer.add_histogram_raw(
            tag,
            min=ends[0],
            max=ends[-1],
            num=1,
            sum=sum(share * middle for share, middle in zip(shares, middles, strict=True)),
            sum_squares=sum(share * middle**2 for share, middle in zip(shares, middles, strict=True)),
            bucket_limits=ends[1:],
            bucket_counts=list(shares),
            global_step=step,
        )

    def close(self) -> None:
        self._writer.close()


def tag_of(name: str) -> str:
    """`group/name`: of a training's number by what it says, of an evaluation's `SET.METRIC` the set."""
    group, _, metric = name.partition(".")
    return f"{group}/{metric.replace('.', '/')}" if metric else f"{_GROUP_OF.get(name, 'training')}/{name}"


def charted(numbers: Mapping[str, float], always: str | None = None) -> list[str]:
    """Names that get a chart; thresholds do not, and metrics.jsonl has all."""
    seen: Counter[str] = Counter()
    chosen = []
    for name in sorted(numbers, key=lambda name: name != always):
        group, _, metric = name.partition(".")
        if metric and name != always and ("threshold" in metric or seen[group] >= CHARTS_A_SET):
            continue
        seen[group] += 1
        chosen.append(name)
    return chosen


def _options(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of nested tables under dotted names; hparams are numbers, flags and text."""
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _options(value, f"{prefix}{name}.")
        elif value is not None:
            yield f"{prefix}{name}", value if isinstance(value, (bool, int, float, str)) else str(value)
