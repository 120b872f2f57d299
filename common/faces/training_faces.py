"""The door to the data: the training faces of an experiment, checked against what its file expects of them."""

from pathlib import Path

from common.config import Config
from common.errors import UserError
from common.faces.fitting import Fit
from common.faces.source import FaceSource
from common.faces.sources import open_source
from common.faces.subset import SubsetSource


def open_faces(config: Config, root: Path) -> FaceSource:
    """The training faces of an experiment, all or a subset; all are checked against the numbers the config expects.

    Raises UserError when they are missing, saying where to get them, or when they are other faces.
    """
    faces = config.faces
    path = root / faces.path
    if not path.exists():
        raise UserError(
            f"{path}: no training faces there. {faces.origin or 'Set faces.path, or the data root (DATA=)'}"
        )
    fit = None if faces.fit is None else Fit(faces.fit, faces.size)
    source = open_source(path, faces.max_per_identity, fit)
    for name, expected, found in (
        ("samples", faces.samples, source.found),
        ("identities", faces.identities, source.num_classes),
    ):
        if expected is not None and expected != found:
            raise UserError(
                f"{path}: {found:,} {name}, the config expects {expected:,}: other faces; or set faces.{name}, "
                "`none` for any number"
            )
    return source if faces.subset is None else SubsetSource.open(Path(faces.subset), source)
