"""What an exported file says of itself: one JSON in its metadata, from which others learn what it takes and gives."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
from pydantic import BaseModel, ConfigDict

from common.documents import parse_document
from common.embeddings import contract_thresholds
from common.errors import ModelError
from common.models import EXPORTED, FaceModel
from export.contract import Form


class Account(BaseModel):
    """The part of it that is read here; the whole is in `account_of`."""

    model_config = ConfigDict(extra="allow")

    weights_sha256: str
    size: tuple[int, int]
    precision: str
    flip: bool
    thresholds: dict[str, Any] | None = None


def account_of(model: FaceModel, form: Form, precision: str) -> dict[str, Any]:
    """What the graph takes and gives, which weights it holds, and their thresholds where they are calibrated.

    mean and std are applied inside; `channel_order` is what the graph takes, `trained_on` what its network saw.

    Raises ModelError for thresholds that lie beside the weights and are of others.
    """
    described = model.describe()
    account = {
        "architecture": described["architecture"],
        "embedding_size": described["embedding_size"],
        "size": described["size"],
        "layout": "NHWC" if form.pixels == "uint8" else "NCHW",
        "pixels": form.pixels,
        "channel_order": "rgb",
        "trained_on": described["channel_order"],
        "mean": described["mean"],
        "std": described["std"],
        "flip": form.flip,
        "unit": form.unit,
        "precision": precision,
        "weights": described["name"],
        "weights_sha256": described["weights_sha256"],
    }
    thresholds = contract_thresholds(model, form.flip)
    return account if thresholds is None else {**account, "thresholds": thresholds}


def describe(graph: onnx.ModelProto, account: Mapping[str, Any]) -> None:
    """Keep an account in a graph's metadata, in place of what was there."""
    del graph.metadata_props[:]
    graph.metadata_props.add(key=EXPORTED, value=json.dumps(account, sort_keys=True))


def account_in(graph: onnx.ModelProto, path: Path) -> Account | None:
    """The account `describe` kept; None in files of others. Raises ModelError, naming `path`, for a damaged one."""
    for entry in graph.metadata_props:
        if entry.key == EXPORTED:
            where = f"{path}: its metadata"
            return parse_document(entry.value.encode(), Account, where, ModelError, "export it again")
    return None
