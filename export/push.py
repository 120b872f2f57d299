"""Send a student's package to the HuggingFace Hub: all its files in one commit, or none."""

import re
from pathlib import Path

from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import RepositoryNotFoundError
from huggingface_hub.hf_api import RepoFile

from common.documents import read_regular
from common.errors import ModelError
from common.models import MAY_WRITE, line_of_client, send_commit
from export.package import CARD, SUMS, checked, parse_sums

_REPO = re.compile(r"(?:hf://)?([\w.-]+/[\w.-]+?)/?")
# What the Hub's own page for a new repository writes.
_GIVEN = {".gitattributes", CARD}


def push(folder: Path, repo: str, public: bool = False) -> int:
    """Send exports/NAME to the model repository `owner/name`, made (private unless `public`) where there is none.

    Files that an earlier push sent and this package lacks leave in the same commit; the files of others stay. Large
    files that an interrupted push has sent are not sent again. Returns how many files the commit holds.

    Raises ModelError for a package that is not as its card says, a repository that is somebody else's, and what the Hub
    refuses.
    """
    named = _REPO.fullmatch(repo)
    if named is None:
        raise ModelError(f"{repo}: not a repository name: write owner/name")
    names = [*checked(folder), SUMS]
    files: dict[str, Path | bytes] = {name: folder / name for name in names}
    try:
        former = _former(named[1])
        send_commit(named[1], "model", files, f"Student {folder.name}", public, sorted(former - {*names}))
    except Exception as error:
        line = line_of_client(error)
        if line is None or isinstance(error, ModelError):
            raise
        raise ModelError(f"{named[1]}: {line}: {MAY_WRITE}") from error
    return len(files)


def _former(repo: str) -> set[str]:
    """What an earlier push of ours left in a repository. Raises ModelError where others have put their files."""
    try:
        there = {file.path for file in HfApi().list_repo_tree(repo, recursive=True) if isinstance(file, RepoFile)}
    except RepositoryNotFoundError:
        return set()
    if SUMS not in there:
        if there - _GIVEN:
            first = min(there - _GIVEN)
            raise ModelError(f"{repo}: holds {first!r} and no {SUMS}, so no push of ours made it: choose another name")
        return set()
    listed = read_regular(Path(hf_hub_download(repo, SUMS)), ModelError)
    return set(parse_sums(listed.decode(errors="replace"), f"{repo}/{SUMS}")) & there
