"""[faces]: where the training faces are, how many are expected, and what makes them one size."""

from typing import Literal, Self

from pydantic import Field, model_validator

from common.config.section import Positive, Section, Text


class FacesConfig(Section):
    """Training faces: a RecordIO folder or a folder of identity folders.

    fit: for pictures that are not aligned to the teacher's size: their middle (`crop`) or all of them (`resize`)
    becomes a picture of `size`, (height, width), before the views. Without it pictures of another size are refused.
    """

    path: Text
    fit: Literal["crop", "resize"] | None = None
    size: tuple[Positive, Positive] = (112, 112)
    max_per_identity: Positive | None = None
    subset: Text | None = Field(None, description="cache that `python -m cache subset` cut out: its people only")
    samples: Positive | None = Field(
        None, description="images expected, before max_per_identity; another number is refused"
    )
    identities: Positive | None = Field(None, description="identities expected; another number is refused")
    origin: Text | None = Field(None, description="where to get the faces, said when they are missing")

    @model_validator(mode="after")
    def _size_of_what_is_fitted(self) -> Self:
        if self.fit is None:
            self._refuse_idle(("size",), "without fit")
        return self
