"""Play the reference sequences of tests/golden/heads through our head: whole, in chunks, or split over ranks."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distill.head.head import build_head
from distill.head.logits import Logits

GOLDEN = Path(__file__).parents[2] / "golden" / "heads"
CASES: dict[str, dict] = {case["name"]: case for case in json.loads((GOLDEN / "heads_index.json").read_text())["cases"]}
MARGINS = {
    "AdaptiveAAdaFace": "adaface",
    "AdaptiveAArcFace": "arcface",
    "AdaptiveACosFace": "cosface",
    "ACosFace": "cosface",
    "ArcFace": "arcface",
    "CosFace": "cosface",
    "AdaFace": "adaface",
    "MLLoss": "none",
    "AdaFaceLoss": "adaface",
}
GEOMETRY = {"geom_margin_w": "geometry_w", "geom_margin_k": "geometry_k", "geom_margin_warmup_epoch": "geometry_warmup"}


def centers_of(case: dict) -> str:
    if "sgd" in case:
        return "learned"
    return "frozen" if case["kind"] in ("mlloss", "seed_plain") else "distilled"


def section_of(case: dict) -> dict[str, Any]:
    """The [head] section of a reference case."""
    kwargs = case["kwargs"]
    if case.get("margin_class") == "CombinedMarginLoss":
        angular = kwargs["m2"] > 0
        return {
            "margin": "arcface" if angular else "cosface",
            "centers": "learned",
            "s": kwargs["s"],
            "m": kwargs["m2"] if angular else kwargs["m3"],
        }
    section = {"margin": MARGINS[case.get("class", case.get("margin_class"))], "centers": centers_of(case)}
    section |= {key: kwargs[key] for key in ("s", "m", "h", "t_alpha") if key in kwargs}
    if section["centers"] == "distilled":
        if case["kind"] == "fixed_momentum":
            section |= {"alpha": "fixed", "momentum": case["momentum"]}
        else:
            section["alpha"] = "weighted" if kwargs["adaptive_weighted_alpha"] else "adaptive"
    if kwargs.get("use_geom_margin"):
        section |= {"geometry": "live"} | {ours: kwargs[theirs] for theirs, ours in GEOMETRY.items()}
    return section


class Sequence:
    """One reference case and a head set up as it begins; every step is recorded in full."""

    def __init__(self, name: str, section: dict[str, Any] | None = None, rank: int = 0, ranks: int = 1) -> None:
        """section: keys beside the case's own."""
        self.case, self.rank, self.ranks = CASES[name], rank, ranks
        self.golden = dict(np.load(GOLDEN / self.case["file"]))
        self.inputs = dict(np.load(GOLDEN / self.case["inputs"]))
        start = self.golden["kernel_start"] if "kernel_start" in self.golden else self.inputs["kernel0"]
        self.head = build_head(section_of(self.case) | (section or {}), start.shape[1], start.shape[0])
        self.put(start)
        if "batch_mean0" in self.case:
            self.head.norms.mean.fill_(self.case["batch_mean0"])
            self.head.norms.std.fill_(self.case["batch_std0"])
        self.optimiser = torch.optim.SGD(self.head.parameters(), **self.case["sgd"]) if "sgd" in self.case else None
        self.steps = len(self.inputs["labels"])

    @torch.no_grad()
    def put(self, kernel: np.ndarray) -> None:
        """Centres from the reference's (D,C) kernel."""
        self.head.centers.weight.copy_(self.head.shard.share(torch.from_numpy(kernel.T.copy())))

    def step(self, t: int) -> dict[str, Tensor]:
        """Step t: loss, logits (B,C here) of other classes, gradients (of this rank's rows), centres and statistics."""
        f_s, f_t, labels = (torch.from_numpy(self.inputs[key][t]) for key in ("f_s", "f_t", "labels"))
        share = len(f_s) // self.ranks
        mine = f_s[self.rank * share : (self.rank + 1) * share].clone().requires_grad_()
        blocks: dict[int, Tensor] = {}
        form = Logits.form

        def recorded(logits: Logits, block: Any) -> Tensor:
            blocks[block.start] = form(logits, block)
            return blocks[block.start].clone()

        Logits.form = recorded  # type: ignore[method-assign]
        try:
            out = self.head(mine, f_t, labels, self.case.get("epochs", [0.0] * self.steps)[t])
        finally:
            Logits.form = form  # type: ignore[method-assign]
        out.loss.backward()
        assert mine.grad is not None
        record = {"loss": out.loss.detach(), "logits": torch.cat([blocks[start] for start in sorted(blocks)], 1)}
        record |= {"gradient": mine.grad / self.ranks, **out.stats}
        if self.optimiser is not None:
            assert self.head.centers.weight.grad is not None
            record["gradient of centres"] = self.head.centers.weight.grad.clone()
            self.optimiser.step()
            self.optimiser.zero_grad()
        record["centres"] = self.head.centers.weight.detach().clone()
        if self.head.config.margin == "adaface":
            record |= {"batch_mean": self.head.norms.mean.clone(), "batch_std": self.head.norms.std.clone()}
        return record

    def play(self) -> list[dict[str, Tensor]]:
        return [self.step(t) for t in range(self.steps)]

    def logits(self, t: int, record: dict[str, Tensor]) -> Tensor:
        """All logits (B,C) of step t, from the record of one process or from merged ones: the head never has a row's
        target logit among the others."""
        labels = torch.from_numpy(self.inputs["labels"][t])[:, None]
        return record["logits"].scatter(1, labels, record["target_logit"][:, None])


def merge(ranks: list[list[dict[str, Tensor]]]) -> list[dict[str, Tensor]]:
    """One record a step from those of all ranks, each with its classes and its rows."""
    along = {"logits": 1, "gradient": 0, "target_logit": 0, "centres": 0, "gradient of centres": 0}
    return [
        {
            key: torch.cat([part[key] for part in parts], along[key])
            if key in along
            else torch.stack([part[key] for part in parts]).mean(0)
            for key in parts[0]
        }
        for parts in zip(*ranks, strict=True)
    ]
