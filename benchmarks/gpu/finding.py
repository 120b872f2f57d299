"""What a row finds: a figure, its bound, and whether it keeps to it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["OK", "BAD", "needs a card"]


@dataclass(frozen=True)
class Finding:
    """One line of the table: what was looked at, the figure, and what it had to keep to."""

    what: str
    verdict: Verdict
    figure: str = ""
    bound: str = ""

    def line(self) -> str:
        """For the console."""
        return f"{self.verdict:12} {self.what}: {self.figure}" + (f" ({self.bound})" if self.bound else "")


def at_most(what: str, value: float, bound: float, text: str = "{:.1e}", note: str = "") -> Finding:
    """OK for a value up to the bound; NaN is BAD. text: how both are written; note: what else the figure shows."""
    return _bounded(what, value <= bound, value, f"at most {text.format(bound)}", text, note)


def at_least(what: str, value: float, bound: float, text: str = "{:.2f}", note: str = "") -> Finding:
    """OK for a value from the bound on; NaN is BAD."""
    return _bounded(what, value >= bound, value, f"at least {text.format(bound)}", text, note)


def holds(what: str, true: bool, figure: str, bound: str) -> Finding:
    """OK for what holds; figure: what was seen, bound: what was expected."""
    return Finding(what, "OK" if true else "BAD", figure, bound)


def measured(what: str, value: float, text: str) -> Finding:
    """A figure that nothing is asked of but to be a number."""
    return Finding(what, "OK" if math.isfinite(value) else "BAD", text.format(value), "a number")


def needs_card(what: str, cards: int = 1) -> Finding:
    """For what cannot be tried on this machine."""
    return Finding(what, "needs a card", "not tried" if cards == 1 else f"not tried: needs {cards} cards")


def summary(findings: Sequence[Finding]) -> str:
    """`31 OK, 9 need a card`, after the number of BAD ones where there are any."""
    count = {word: sum(finding.verdict == word for finding in findings) for word in ("BAD", "OK", "needs a card")}
    told = [f"{count['BAD']} BAD"] if count["BAD"] else []
    return ", ".join([*told, f"{count['OK']} OK", f"{count['needs a card']} need a card"])


def _bounded(what: str, kept: bool, value: float, bound: str, text: str, note: str) -> Finding:
    figure = text.format(value) + (f", {note}" if note else "")
    return Finding(what, "OK" if kept else "BAD", figure, bound)
