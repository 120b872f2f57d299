"""Which model is it? The one account by which build, plan, student and evaluation tell teachers apart.

    describe(weights, contract, precision)      of a model that is open, for the manifest
    identity_of(manifest["teacher"])               the fields in which another teacher differs
    known_of(config.teacher, root, recorded)    of a teacher a config names, without loading it or asking a network

How a config spells its teacher is no part of the identity: the same bytes under the same contract are the same teacher
from a folder, a file or the Hub.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.config import ModelConfig
from common.models.contracts import read_contract
from common.models.hub_transfer import COMMIT
from common.models.presets import Preset
from common.models.weight_files import WeightFile, hub_name, kept_weights, local_name, require_digest

IDENTITY = (
    "weights_sha256",
    "architecture",
    "embedding_size",
    "size",
    "channel_order",
    "mean",
    "std",
    "precision",
)
"""Fields of `describe` in which another teacher differs; the others tell where the weights came from."""
_OPEN = "auto"  # a precision that the cache's is, whichever


def describe(weights: WeightFile, contract: Preset, precision: str) -> dict[str, Any]:
    """JSON-able account of a model. Models that agree in `IDENTITY` give the same embeddings up to rounding."""
    return {
        "name": weights.name,
        "repo": weights.repo,
        "revision": weights.revision,
        "file": weights.file,
        "weights_sha256": weights.sha256,
        "architecture": contract.architecture,
        "embedding_size": contract.embedding_size,
        "size": list(contract.size) if contract.size else None,
        "channel_order": contract.channel_order,
        "mean": contract.mean,
        "std": contract.std,
        "precision": precision,
    }


def identity_of(described: Mapping[str, Any]) -> dict[str, Any]:
    """What binds a cache to its teacher, out of a manifest's account of it."""
    return {field: described.get(field) for field in IDENTITY}


def known_of(config: ModelConfig, root: Path, recorded: Mapping[str, Any]) -> dict[str, Any]:
    """What a cache of this teacher must say of it, as far as this machine can tell.

    Where the weights are on this machine that is their whole identity. Where they are not, it is where they come from
    (a branch or tag is what it was when the cache was built: nobody is asked) and whatever the config states.

    Args:
        config: the teacher as an experiment names it.
        root: data root.
        recorded: the manifest's account of the cached teacher; {} without one.

    Raises:
        ModelError, DataError: the weights are here and cannot be opened as the config says.
    """
    weights = kept_weights(config.weights, config.revision, root, recorded.get("revision"))
    if weights is not None:
        require_digest(weights, config.sha256)
        if recorded.get("weights_sha256", weights.sha256) != weights.sha256:
            return {"weights_sha256": weights.sha256}  # what other weights want to see is no matter
        whole = identity_of(describe(weights, read_contract(config, weights), config.precision))
        return {field: value for field, value in whole.items() if value not in (None, _OPEN)}
    stated = {field: getattr(config, field) for field in IDENTITY if field != "weights_sha256"}
    stated["size"] = list(config.size) if config.size else None
    stated["weights_sha256"] = config.sha256.lower() if config.sha256 else None
    return {
        **_origin(config, root, recorded),
        **{field: value for field, value in stated.items() if value not in (None, _OPEN)},
    }


def _origin(config: ModelConfig, root: Path, recorded: Mapping[str, Any]) -> dict[str, Any]:
    on_hub = hub_name(config.weights, root)
    # owner/name is also how a folder is spelled that is not on this machine.
    if on_hub is None or (recorded.get("repo") is None and not config.weights.startswith("hf://")):
        name = local_name(config.weights)
        return {"repo": None, **({"name": name} if name else {})}
    repo, file = on_hub
    commit = config.revision if config.revision and COMMIT.fullmatch(config.revision) else None
    return {"repo": repo, **({"file": file} if file else {}), **({"revision": commit} if commit else {})}
