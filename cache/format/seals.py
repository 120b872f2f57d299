"""What a seal binds: the ledger, and through it every shard; and the manifest, so that no edit passes for a build.

A digest is no signature: it tells what was changed by accident or by hand, not by somebody who makes a new seal.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cache.format.ledger import ledger_digest


def seal_of(path: Path, manifest: Mapping[str, Any], files: int, skipped: Mapping[int, str]) -> dict[str, Any]:
    """The `sealed` field of a manifest whose ledger is gathered.

    files: entries of the ledger. skipped: reasons by sample number.
    """
    sealed: dict[str, Any] = {"ledger": ledger_digest(path), "files": files}
    if skipped:
        sealed["skipped"] = {str(sample): reason for sample, reason in skipped.items()}
    return {**sealed, "manifest": _digest({**manifest, "sealed": sealed})}


def broken_seals(path: Path, manifest: Mapping[str, Any]) -> Iterator[str]:
    """One line for each part of a sealed cache that is not the one that was sealed."""
    sealed = dict(manifest["sealed"])
    if sealed.pop("manifest", None) != _digest({**manifest, "sealed": sealed}):
        yield f"{path}/zarr.json: the manifest is not the one that was sealed: somebody edited it"
    if ledger_digest(path) != sealed.get("ledger"):
        yield f"{path}/ledger/zarr.json: the ledger is not the one that was sealed"


def _digest(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
