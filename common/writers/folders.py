"""A folder that is there as a whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.errors import UserError
from common.files import make_fresh, sync, sync_tree
from common.writers.locks import only_writer


@contextmanager
def new_folder(folder: Path, what: str) -> Iterator[Path]:
    """Give an empty folder beside `folder`; it takes that name, on the disk, when the block ends well.

    what: what is done, as a refusal of others names it ("a packing"). What a killed process left is made anew.
    Raises UserError where something has the name already, or while another process makes it.
    """
    with only_writer(folder, what):
        if os.path.lexists(folder):
            raise UserError(f"{folder}: exists already: remove it, or choose another place")
        making = folder.with_name(f".{folder.name}.making")
        make_fresh(making)
        try:
            yield making
            sync_tree(making)
            os.rename(making, folder)
            sync(folder.parent)
        except BaseException:
            shutil.rmtree(making, ignore_errors=True)
            raise
