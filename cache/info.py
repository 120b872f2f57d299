"""A cache as people read it."""

import textwrap
from pathlib import Path

import numpy as np

from cache.format import finished_units, layout_of, read_manifest, read_skipped
from cache.reader import TeacherCache
from cache.runtimes import runtime_lines
from common.faces import aligner_text
from common.plan import size_text


def describe_cache(path: Path) -> str:
    """Several lines: where the cache is, what it was made from, its size, and how sure its teacher is."""
    manifest = read_manifest(path)
    layout = layout_of(manifest)
    teacher, faces, views = manifest["teacher"], manifest["faces"], manifest["views"]
    height, width = teacher["size"]
    lines = {
        "teacher": f"{teacher['name']} (sha256 {teacher['weights_sha256'][:12]}), {layout.dim} wide, "
        f"{height}x{width} {teacher['channel_order']}, {teacher['precision']}",
        "faces": f"{faces['samples']:,} of {faces['identities']:,} people, {faces['kind']} {faces['fingerprint'][:12]}",
        "views": f"{views['count']}, policy {views['policy']}, seed {views['seed']}",
        "store": f"{layout.dtype}, {size_text(layout.bytes_on_disk)}, created {manifest['created']}",
    }
    if "aligner" in faces:
        lines["aligned"] = aligner_text(faces["aligner"])
    if manifest["sealed"]:
        lines["sealed"] = f"yes, {manifest['sealed']['files']:,} files"
        lines["confidence"] = _confidence(TeacherCache(path))
    else:
        total = sum(1 for _ in layout.units())
        lines["sealed"] = f"no: {len(finished_units(path, layout)):,} of {total:,} units finished"
    skipped = read_skipped(path)
    if skipped:
        lines["skipped"] = f"{len(skipped):,} pictures that do not decode, such as {next(iter(skipped.values()))}"
    told = [
        _wrapped(f"  {name:<11}{text}") if name == "aligned" else f"  {name:<11}{text}" for name, text in lines.items()
    ]
    return "\n".join([str(path), *told, *(_wrapped(f"  {'computed':<11}{line}") for line in runtime_lines(path))])


def _wrapped(line: str) -> str:
    return textwrap.fill(line, 80, subsequent_indent=" " * 13, break_long_words=False, break_on_hyphens=False)


def _confidence(cache: TeacherCache) -> str:
    """Quantiles over an even choice of at most 100,000 samples, first view."""
    samples = np.unique(np.linspace(0, len(cache) - 1, min(len(cache), 100_000)).astype(np.int64))
    samples = np.setdiff1d(samples, cache.skipped)
    if not len(samples):
        return "no picture decodes"
    low, middle, high = np.quantile(cache.confidence(samples, 0), (0.05, 0.5, 0.95))
    centre = {"center": "class centre", "leave_one_out": "centre of the class without the face"}
    what = centre[cache.manifest["confidence"]]
    return f"cos(f_t, {what}): median {middle:.3f}, 5 % below {low:.3f}, 5 % above {high:.3f}"
