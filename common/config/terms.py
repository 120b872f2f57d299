"""[terms]: what a student is told beside its margin head, each term with a weight of its own."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from common.config.section import PositiveFraction, Section, Text

Weight = Annotated[float, Field(gt=0)]
Part = Annotated[float, Field(ge=0)]


class TermsConfig(Section):
    """Losses that are added to the head's, all off by default; the maths is in docs/method.md.

    margin_weight: of the head's own loss beside them; 0 leaves the terms alone.
    match: the student's embedding to the teacher's of the same view.
    logits: the teacher's distribution over classes to the student's; `gkd` keeps the group of classes that has
    primary_mass of the teacher's probability, and weighs what is within it and what it has of all. header: file of the
    teacher's class centres below the data root, instead of the cache's.
    relation: pairs and triplets of a batch; `rkd` distances and angles, `ekd` ranks among thresholds, whose steps
    are softened by rank_temperature.
    """

    margin_weight: Part = 1.0
    match: Literal["off", "cosine", "mse"] = "off"
    match_weight: Weight = 1.0
    logits: Literal["off", "kd", "gkd"] = "off"
    logits_weight: Weight = 1.0
    temperature: Weight = 4.0
    primary_mass: PositiveFraction = 0.93
    primary_weight: Part = 8.0
    binary_weight: Part = 1.0
    header: Text | None = None
    relation: Literal["off", "rkd", "ekd"] = "off"
    relation_weight: Weight = 1.0
    distance_weight: Part = 1.0
    angle_weight: Part = 2.0
    rank_temperature: Weight = 0.01

    @property
    def any(self) -> bool:
        """Whether a step needs the teacher's embeddings for a term."""
        return (self.match, self.logits, self.relation) != ("off", "off", "off")

    @property
    def text(self) -> str:
        """The terms that are on, with their weights."""
        on = [(name, getattr(self, name), getattr(self, f"{name}_weight")) for name in ("match", "logits", "relation")]
        parts = [f"{weight:g} x {name} {kind}" for name, kind, weight in on if kind != "off"]
        return " + ".join([f"{self.margin_weight:g} x margin", *parts])

    @model_validator(mode="after")
    def _every_option_counts(self) -> Self:
        if not self.any:
            self._refuse_idle(("margin_weight",), "without a term")
        if self.match == "off":
            self._refuse_idle(("match_weight",), "with match = 'off'")
        if self.logits == "off":
            self._refuse_idle(("logits_weight", "temperature", "header"), "with logits = 'off'")
        if self.logits != "gkd":
            self._refuse_idle(("primary_mass", "primary_weight", "binary_weight"), f"with logits = {self.logits!r}")
        if self.relation == "off":
            self._refuse_idle(("relation_weight",), "with relation = 'off'")
        if self.relation != "rkd":
            self._refuse_idle(("distance_weight", "angle_weight"), f"with relation = {self.relation!r}")
        if self.relation != "ekd":
            self._refuse_idle(("rank_temperature",), f"with relation = {self.relation!r}")
        return self
