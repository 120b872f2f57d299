"""[faces]: where the training faces are, and how many are expected."""

from pydantic import Field

from common.config.section import Positive, Section, Text


class FacesConfig(Section):
    """Training faces: a RecordIO folder or a folder of identity folders."""

    path: Text
    max_per_identity: Positive | None = None
    subset: Text | None = Field(None, description="cache that `python -m cache subset` cut out: its people only")
    samples: Positive | None = Field(None, description="images expected; another number on disk is refused")
    identities: Positive | None = Field(None, description="identities expected; another number is refused")
    origin: Text | None = Field(None, description="where to get the faces, said when they are missing")
