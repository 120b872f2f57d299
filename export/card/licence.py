"""Under which licence a student's weights go out: never under more than its teacher and its faces allow."""

import re
from collections.abc import Mapping

from common.errors import ModelError
from common.models import UNKNOWN, known_licence

RESEARCH_ONLY = "research-only"
"""What the weights are given under unless somebody states more."""

_RESTRICTED = re.compile(r"research|non.?commercial|\bnc\b|academic", re.IGNORECASE)


def teacher_licences(teachers: Mapping[str, str], given: str | None) -> dict[str, str]:
    """Licences of teachers by name. teachers: SHA-256 of the weights by name.

    Raises ModelError for one that is neither known by its digest nor given.
    """
    found = {}
    for name, sha256 in teachers.items():
        licence = given or known_licence(sha256)
        if licence is None:
            raise ModelError(f"the licence of {name} is not known here: give --teacher-licence (or {UNKNOWN})")
        found[name] = licence
    return found


def refuse_more_than_sources(licence: str, sources: Mapping[str, str]) -> None:
    """Raises ModelError where weights would be given away under more than what they are made of allows.

    licence: of the weights. sources: what the weights are made of, with their licences.
    """
    if licence == RESEARCH_ONLY or _RESTRICTED.search(licence):
        return
    for name, own in sources.items():
        if own.lower() == UNKNOWN:
            raise ModelError(
                f"--licence {licence}: the licence of {name} is unknown, which is no permission: find it out"
            )
        if _RESTRICTED.search(own):
            raise ModelError(
                f"--licence {licence}: {name} is under {own!r}, so weights made of it are not: leave --licence out"
            )


def statement(licence: str, sources: Mapping[str, str]) -> str:
    """Plain text that a reader of the card meets first."""
    made = "; ".join(f"{name}: {own}" for name, own in sources.items())
    if licence == RESEARCH_ONLY:
        return (
            f"For research only. These weights are derived from what follows, and may be used for what all of it "
            f"allows: {made}. Whoever publishes them gives no permission beyond that."
        )
    return f"Licence of the weights, as their publisher states it: {licence}. They are derived from: {made}."
