"""The page that travels with a shared cache: what it was made from, under which licences, and how to use it."""

import json
from collections.abc import Mapping
from typing import Any

from cache.format import Layout
from common.errors import CacheError
from common.faces import aligner_text
from common.models import UNKNOWN, known_licence
from common.plan import size_text
from common.text import printable

CARD = "README.md"


def teacher_licence(manifest: Mapping[str, Any], given: str | None) -> str:
    """The licence of the teacher's weights, as given or known. Raises CacheError when it is neither."""
    licence = given or known_licence(manifest["teacher"]["weights_sha256"])
    if licence is None:
        raise CacheError(
            f"the licence of {manifest['teacher']['name']} is not known here: give --teacher-licence (or {UNKNOWN})"
        )
    return licence


def dataset_card(
    manifest: Mapping[str, Any], layout: Layout, url: str, teacher_licence: str, faces_licence: str
) -> str:
    """Markdown with the header the HuggingFace Hub reads."""
    teacher, faces, views, sealed = (manifest[name] for name in ("teacher", "faces", "views", "sealed"))
    rows = {
        "teacher": f"{teacher['name']}, licence {teacher_licence}",
        "teacher, from": _known(teacher, "repo", "revision", "file"),
        "teacher, SHA-256": f"`{teacher['weights_sha256']}`",
        "teacher, input": _known(teacher, "architecture", "size", "channel_order", "mean", "std", "precision"),
        "faces": f"{faces['samples']:,} of {faces['identities']:,} people ({faces['kind']}), licence {faces_licence}",
        "faces, fingerprint": f"`{faces['fingerprint']}`",
        "faces, aligned by": aligner_text(faces["aligner"]) if "aligner" in faces else None,
        "pictures left out": f"{len(sealed.get('skipped', {})):,}",
        "views": ", ".join(f"{name} {value}" for name, value in views.items()),
        "decoder": manifest["decoder"],
        "embeddings": f"{layout.dim} wide, {layout.dtype}; confidence: {manifest['confidence']}",
        "store": f"format {manifest['format']}, {sealed['files']:,} files of {size_text(layout.bytes_on_disk)}, "
        f"created {manifest['created']}",
        "ledger, SHA-256": f"`{sealed['ledger']}`",
    }
    if "subset" in manifest:
        rows["subset of"] = f"{manifest['subset']['samples']:,} faces of {manifest['subset']['people']:,} people"
    table = "\n".join(f"| {name} | {printable(value).replace('|', '/')} |" for name, value in rows.items() if value)
    # A string in JSON is one in YAML, whatever it contains.
    header = [
        "license: other",
        "license_name: see-card",  # the Hub wants an identifier; the table below says what was given
        f"pretty_name: {json.dumps('Teacher cache of ' + teacher['name'])}",
        "tags: [face-recognition, distillation]",
    ]
    return _PAGE.format(header="\n".join(header), teacher=printable(teacher["name"]), table=table, url=printable(url))


def _known(table: Mapping[str, Any], *names: str) -> str:
    return ", ".join(f"{name} {table[name]}" for name in names if table.get(name) is not None)


_PAGE = """---
{header}
---

# Teacher cache of {teacher}

What a frozen face-recognition teacher said of every view of every face of a training set: embeddings, norms and
confidences, for distilling students without running the teacher. It holds no pictures.

| | |
|---|---|
{table}

**Personal data.** An embedding of a face identifies a person: it is biometric data, derived from the faces named above.
Whatever forbids or restricts the use of those faces (their licence, consent, privacy law) applies to these numbers as
well, and so do the terms of the teacher's weights. A licence that is given as unknown is no permission.

## Use

    python -m cache pull {url} --out caches/NAME

verifies every file against the ledger. Students train from it (`cache.path = "caches/NAME"`) where the same faces are
at hand: counts and fingerprint, views and decoder are compared before the first step. Any Zarr v3 client reads
it:

    cache = zarr.open_group("caches/NAME", mode="r")
    manifest = cache.attrs["teacher_cache"]
    f_t = cache["embedding"][0, :1000]
"""
