"""Numbers as a page and a table write them, and sentences made of them. Rates come as fractions, and are shown in %."""

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeGuard

if TYPE_CHECKING:
    from ablate.statistics import Verdict

MINUS, DASH = "\N{MINUS SIGN}", "\N{EN DASH}"
_JOIN = "\N{NO-BREAK SPACE}"
_NAMES = {"accuracy": "accuracy", "auc": "AUC", "eer": "EER", "val": "VAL", "rank": "rank"}
_AT = {"tar": "TAR @ FAR", "tar_at_far": "TAR @ FAR", "tar_at_most_far": "TAR @ FAR at most", "rank": "rank"}
_AT |= {"tpir": "TPIR @ FPIR", "tpir_at_fpir": "TPIR @ FPIR"}
_PLACE = re.compile(r"(?:(?P<inner>.+)\.)?(?P<what>[a-z_]+)[@.](?P<at>[0-9][0-9.eE+-]*?)(?:\.tar)?")


def metric_name(metric: str) -> str:
    """`lfw.tar@1e-2` as people say it: TAR @ FAR 1e-2 on lfw. A name that is not known stays as it is."""
    of_set, dot, what = metric.partition(".")
    if not dot:
        return metric
    found = _PLACE.fullmatch(what)
    if found and found["what"] in _AT:
        inner = f" ({found['inner']})" if found["inner"] else ""
        return f"{_AT[found['what']]} {found['at']} on {of_set}{inner}"
    return f"{_NAMES.get(what, what)} on {of_set}"


def percent(rate: float | None, digits: int = 2) -> str:
    """A fraction as a percentage, without its sign; a dash where there is none."""
    return f"{100 * rate:.{digits}f}" if known(rate) else DASH


def points(difference: float | None) -> str:
    """A difference of two fractions in points, always with a sign."""
    return _signed(difference) if known(difference) else DASH


def interval(low: float | None, high: float | None) -> str:
    """A 95 % interval of differences, in points; nothing where there is none."""
    return f"{_signed(low)} to {_signed(high)}" if known(low) and known(high) else ""


def probability(p: float | None) -> str:
    """A p value as tables print it."""
    if not known(p):
        return DASH
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def millions(count: float | None) -> str:
    """Parameters or multiply-accumulates, in millions."""
    if not known(count):
        return DASH
    return f"{count / 1e6:.2f}" if count < 1e7 else f"{count / 1e6:,.0f}"


def counted(count: int, noun: str) -> str:
    """`1 run`, `3 runs`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def listed(names: Sequence[str], most: int = 6) -> str:
    """Names as a sentence has them; of many the first."""
    if len(names) > most:
        names = [*names[: most - 1], f"{len(names) - most + 1} others"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else "none"


def sentence(verdict: "Verdict", baseline: str) -> str:
    """What a comparison showed, and where it showed nothing what it could have shown."""
    told = f"{points(verdict.difference)} points"
    told += f" (95{_JOIN}% interval {between} over {verdict.over})" if (between := _interval_of(verdict)) else ""
    told += f", p{_JOIN}{_equals(verdict.p_holm)} after Holm's correction" if known(verdict.p_holm) else ""
    if verdict.word != "not told apart":
        return f"{verdict.point} is {verdict.word} than {baseline}: {told}."
    shown = ""
    if known(verdict.smallest_shown) and verdict.smallest_shown >= 1:
        shown = " So few runs could have shown no difference of rates four times in five."
    elif known(verdict.smallest_shown):
        shown = f" A difference of {percent(verdict.smallest_shown)} points would have been found four times in five."
    return f"{verdict.point} and {baseline} are not told apart: {told}.{shown}"


def beside(verdict: "Verdict") -> str:
    """How it was tested, what a reader must know of that, and the spread over pairs or people beside the seeds'."""
    parts = [verdict.test, verdict.note]
    if (pairs := verdict.over_pairs) is not None and verdict.over == "seeds":
        p = f", p{_JOIN}{_equals(pairs.p_holm)}" if known(pairs.p_holm) else ""
        parts.append(f"these students over {pairs.over}: {interval(pairs.low, pairs.high)}{p}")
    return "; ".join(part for part in parts if part)


def headline(verdicts: Sequence["Verdict"], baseline: str, metric: str) -> str:
    """One sentence over all comparisons of a number."""
    if not verdicts:
        return f"Nothing is compared with {baseline} by {metric_name(metric)} yet."
    parts = []
    for word, joined in (("better", "better than"), ("worse", "worse than"), ("not told apart", "not told apart from")):
        names = [verdict.point for verdict in verdicts if verdict.word == word]
        if names:
            parts.append(f"{listed(names)} {'is' if len(names) == 1 else 'are'} {joined} {baseline}")
    return f"By {metric_name(metric)}, {'; '.join(parts)}."


def known(number: float | None) -> TypeGuard[float]:
    """Whether there is such a number at all."""
    return number is not None and math.isfinite(number)


def _signed(difference: float) -> str:
    text = f"{100 * difference:+.2f}"
    return text.replace("-", MINUS) if float(text) else "0.00"


def _interval_of(verdict: "Verdict") -> str:
    return interval(verdict.low, verdict.high)


def _equals(p: float) -> str:
    return f"<{_JOIN}0.001" if p < 0.001 else f"={_JOIN}{p:.3f}"
