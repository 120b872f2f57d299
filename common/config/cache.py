"""[cache]: how stage one stores what the teacher said, and how students read it."""

from typing import Literal, Self

from pydantic import model_validator

from common.config.section import Positive, Section, Text, Workers


class CacheConfig(Section):
    """Where the teacher cache lies, how it is cut, and what a sample's teacher confidence is.

    confidence: cosine with the class centre, or with the centre of the class without the sample itself.
    same_runtime: refuse to go on in a cache of other threads, library versions, device or batch size. These may change
    the last bits of embeddings, not what a cache is.
    also: caches of further teachers to learn from, all of them in every step.
    """

    path: Text | None = None
    also: tuple[Text, ...] = ()
    dtype: Literal["float32", "float16", "int8"] = "float16"
    confidence: Literal["center", "leave_one_out"] = "center"
    on_bad_image: Literal["fail", "skip"] = "fail"
    shard_rows: Positive = 16384
    chunk_rows: Positive = 1024
    batch_size: Positive = 64
    workers: Workers = 1
    check_teacher: bool = True
    same_runtime: bool = False

    @model_validator(mode="after")
    def _chunks_fill_shards(self) -> Self:
        if self.shard_rows % self.chunk_rows:
            raise ValueError(f"shard_rows ({self.shard_rows}) must be a multiple of chunk_rows ({self.chunk_rows})")
        return self
