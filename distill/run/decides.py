"""Which options of an experiment decide the numbers of its training.

A run goes on when the others have changed; with a change of these it would be another run. Options that only say where
the cache comes from count as deciding wherever a cache built by them would hold other rows. Every option is here.
"""

from typing import Any

from common.config import Config, Section

DECIDING: dict[str, str] = {
    "": "name",  # caches/NAME, where cache.path says nothing else
    "faces": "path fit size max_per_identity subset",
    "teacher": "weights revision architecture embedding_size size channel_order mean std precision channels_last "
    "compile",
    "views": "policy seed count order crop_probability crop_area crop_aspect photometric_probability brightness "
    "contrast saturation low_resolution_probability low_resolution_side randaugment_operations randaugment_magnitude "
    "randaugment_geometry mixface_weight",
    "cache": "path also dtype confidence on_bad_image",
    "student": "backbone activation embedding_size",
    "head": "margin centers geometry s m h t_alpha norm_mean norm_std alpha momentum start header geometry_w "
    "geometry_k geometry_warmup geometry_threshold geometry_penalty precision logits_mib split_classes sample_rate",
    "terms": "margin_weight match match_weight logits logits_weight temperature primary_mass primary_weight "
    "binary_weight header relation relation_weight distance_weight angle_weight rank_temperature",
    "train": "epochs lr lr_batch momentum weight_decay gradient_norm accumulate ema sync_batchnorm schedule milestones "
    "power warmup_epochs precision channels_last compile graphs deterministic seed photos_a_person",
    "evaluate": "",
}
FREE: dict[str, str] = {
    "": "",
    "faces": "samples identities origin",
    "teacher": "sha256",
    "views": "",
    "cache": "shard_rows chunk_rows batch_size workers check_teacher same_runtime",
    "student": "",
    "head": "recipe",  # the values it stands for are in the others
    # distill/run/resume.py holds the global batch fast, which ranks may share out in another way.
    "terms": "",
    "train": "batch_size workers log_every keep_checkpoints checkpoint_minutes evaluate_every best_by verify warm "
    "track",
    "evaluate": "batch_size flip workers precision compile far ranks sets teacher origin",
}
# Where neither head nor terms read the teacher, its numbers cannot reach the student.
_OF_TEACHER = ("teacher", "cache")


def deciding_values(config: Config, of_teacher: bool | None = None) -> dict[str, Any]:
    """The options that decide a training's numbers, by dotted key.

    of_teacher: with those of teacher and cache; else where head or terms read them.
    """
    values: dict[str, Any] = {}
    for section, names in DECIDING.items():
        if section in _OF_TEACHER and not (config.reads_teacher if of_teacher is None else of_teacher):
            continue
        part = getattr(config, section) if section else config
        for name in names.split():
            # A teacher there is not has no options.
            value = getattr(part, name) if isinstance(part, Section) else None
            values[f"{section}.{name}" if section else name] = value
    return values


def deciding_changes(before: Config, now: Config) -> list[str]:
    """One line per option that differs between two configurations and decides a training's numbers."""
    read = now.reads_teacher
    old, new = deciding_values(before, read), deciding_values(now, read)
    return [f"{key} was {old[key]!r}, is {new[key]!r}" for key in new if old[key] != new[key]]
