"""Weights from the HuggingFace Hub: one file of tensors and, if there is one, CVLFace's description beside it.

The repository's Python files are never fetched, so none of its code can run, and nothing is written under a name that
the other side chose: `hub_transfer` asks first, fetches into a fresh folder, and only what has the announced digest
moves to its place. Files are kept as `huggingface_hub` keeps them. HF_TOKEN, HF_HOME or HF_HUB_CACHE (where files are
kept), HF_ENDPOINT (a mirror) and HF_HUB_OFFLINE=1 (only what is kept already) count.
"""

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NoReturn

from huggingface_hub import constants, errors, try_to_load_from_cache
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.utils import WeakFileLock, validate_repo_id

from common.errors import ModelError
from common.files import make_folder, replacing, sync
from common.models.hub_transfer import COMMIT, Announced, TooSlow, announced, fetch, require_named_by_digest
from common.text import printable

WEIGHTS = (
    *("model.safetensors", "pretrained_model/model.safetensors", "pretrained_model/model.pt"),
    *("backbone.pth", "glintr100.onnx"),
)
"""Where repositories keep their weights, best first."""

DESCRIPTION = "pretrained_model/model.yaml"
LARGEST_DESCRIPTION = 1 << 20


@dataclass(frozen=True)
class HubFile:
    """A file of a repository on this disk with the digest the Hub gave, at the commit it belongs to."""

    path: Path
    repo: str
    revision: str
    file: str


def fetch_weights(
    repo: str, revision: str | None = None, file: str | None = None, cache_dir: Path | None = None
) -> HubFile:
    """The weights of a repository, downloaded unless they are on this disk already.

    Args:
        repo: `owner/name`.
        revision: commit, tag or branch; a full commit that is on this disk needs no network. None is `main`.
        file: path in the repository; None takes the first of `WEIGHTS` that is there.
        cache_dir: where files are kept; None leaves it to the environment.

    Raises:
        ModelError: no network, no access, no such repository, revision or file, or anything but what was announced.
    """
    _require_names(repo, revision, file)
    pinned = revision is not None and COMMIT.fullmatch(revision) is not None
    found = kept(repo, revision, file, cache_dir) if pinned or constants.HF_HUB_OFFLINE else None
    if found is None:
        if constants.HF_HUB_OFFLINE:
            raise ModelError(
                f"{repo}: revision {revision or 'main'} is not on this disk and HF_HUB_OFFLINE is set; unset it where "
                "there is network"
            )
        found = _download(repo, (file,) if file else WEIGHTS, revision, cache_dir)
    _fetch_description(repo, found.revision, cache_dir)
    return found


def kept(
    repo: str, revision: str | None = None, file: str | None = None, cache_dir: Path | None = None
) -> HubFile | None:
    """The weights of a repository that are on this disk, or None. Nobody is asked.

    Raises:
        ModelError: no repository has such a name, or the file does not have the digest it is kept under.
    """
    _require_names(repo, revision, file)
    for candidate in (file,) if file else WEIGHTS:
        path = try_to_load_from_cache(repo, candidate, cache_dir, revision)
        if isinstance(path, str):
            require_named_by_digest(Path(path), Path(path).resolve().name, repo)
            # <repo>/snapshots/<commit>/<file> is a link to <repo>/blobs/<digest the Hub gave>.
            return HubFile(Path(path), repo, Path(path).parents[candidate.count("/")].name, candidate)
    return None


def _download(repo: str, files: tuple[str, ...], revision: str | None, cache_dir: Path | None) -> HubFile:
    for file in files:
        try:
            said = announced(repo, file, revision)
            return _keep(said, revision, cache_dir)
        except errors.EntryNotFoundError as error:
            _note_absent(repo, file, error, cache_dir)
        except Exception as error:
            found = kept(repo, revision, files[0] if len(files) == 1 else None, cache_dir) if _silent(error) else None
            if found is None:
                _explain(error, repo, revision)
            return found
    raise ModelError(
        f"{repo}: has none of {', '.join(files)} at revision {revision or 'main'}; name the file with hf://"
    )


def _fetch_description(repo: str, commit: str, cache_dir: Path | None) -> None:
    if constants.HF_HUB_OFFLINE or try_to_load_from_cache(repo, DESCRIPTION, cache_dir, commit) is not None:
        return  # on this disk, known not to exist, or out of reach
    try:
        said = announced(repo, DESCRIPTION, commit)
        if said.size > LARGEST_DESCRIPTION:
            raise ModelError(f"{repo}: {DESCRIPTION} has {said.size:,} bytes: that is no description of a model")
        _keep(said, None, cache_dir)
    except errors.EntryNotFoundError as error:
        _note_absent(repo, DESCRIPTION, error, cache_dir)
    except Exception as error:
        _explain(error, repo, commit)


def _keep(said: Announced, revision: str | None, cache_dir: Path | None) -> HubFile:
    """Fetch an announced file unless its bytes are here, and give it its place in the client's folders."""
    folder = _folder(said.repo, cache_dir)
    blob, link = folder / "blobs" / said.digest, folder / "snapshots" / said.commit / said.file
    for parent in (blob.parent, link.parent):
        parent.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(folder / ".fetching.lock"):
        if not blob.exists():
            for left in folder.glob(".fetching-*"):
                shutil.rmtree(left, ignore_errors=True)  # of a process that was killed, since the lock is ours
            fresh = Path(tempfile.mkdtemp(prefix=".fetching-", dir=folder))
            try:
                fetch(said, fresh / "content")
                os.replace(fresh / "content", blob)
            finally:
                shutil.rmtree(fresh, ignore_errors=True)
        require_named_by_digest(blob, said.digest, said.repo)
        _link(link, blob)
        if revision is None or not COMMIT.fullmatch(revision):
            with replacing(folder / "refs" / (revision or "main")) as reference:
                reference.write_text(said.commit)
    return HubFile(link, said.repo, said.commit, said.file)


def _link(link: Path, blob: Path) -> None:
    """Put a relative link in place of whatever has its name; the link it was or the new one is there, never none."""
    make_folder(link.parent)
    temporary = link.with_name(f".{link.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(os.path.relpath(blob, link.parent))
    os.replace(temporary, link)
    sync(link.parent)


def _note_absent(repo: str, file: str, error: errors.EntryNotFoundError, cache_dir: Path | None) -> None:
    """Remember, as the client does, that a commit has no such file: offline nobody can be asked."""
    commit = getattr(getattr(error, "response", None), "headers", {}).get(constants.HUGGINGFACE_HEADER_X_REPO_COMMIT)
    if commit is not None and COMMIT.fullmatch(commit):
        marker = _folder(repo, cache_dir) / ".no_exist" / commit / file
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()


def _folder(repo: str, cache_dir: Path | None) -> Path:
    return Path(cache_dir or constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repo, repo_type="model")


def _require_names(repo: str, revision: str | None, file: str | None) -> None:
    """What becomes part of a path on this disk stays below its folder."""
    try:
        validate_repo_id(repo)
    except errors.HFValidationError as error:
        _explain(error, repo, revision)
    for name, value in (("revision", revision), ("file", file)):
        path = PurePosixPath(value or "main")
        if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in (value or ""):
            raise ModelError(f"{repo}: {printable(repr(value))} cannot be the name of a {name}")


def _silent(error: Exception) -> bool:
    """Whether nobody answered, or nobody who knows: what is on this disk then serves."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status in (408, 429) or (status or 0) >= 500 or (status is None and not isinstance(error, ModelError))


def _explain(error: Exception, repo: str, revision: str | None) -> NoReturn:
    """Turn the client's exception into one line that says what to do; anything that is not the client's goes on."""
    asked_revision = revision or "main"
    status = getattr(getattr(error, "response", None), "status_code", None)
    match error:
        case ModelError():
            raise error
        case errors.HFValidationError():
            told = "is not a repository name (owner/name)"
        case errors.GatedRepoError():
            told = f"is gated; accept its terms on {constants.ENDPOINT}/{repo} and set HF_TOKEN"
        case errors.RevisionNotFoundError():
            told = f"has no revision {asked_revision}"
        case errors.RepositoryNotFoundError():
            told = "does not exist, or is private: check the name, or set HF_TOKEN to a token that may read it"
        case _ if status in (401, 403):
            told = f"access refused ({status}); set HF_TOKEN to a token that may read it"
        case _ if status is not None:
            told = f"{constants.ENDPOINT} answered {status}; try again later"
        case TooSlow():
            told = f"{constants.ENDPOINT}: {error}; check the network or HF_ENDPOINT, and run again"
        case _ if type(error).__name__ in ("ConnectError", "ConnectTimeout", "ReadTimeout"):
            missing = f"revision {asked_revision} is not on this disk"
            told = f"no answer from {constants.ENDPOINT} and {missing}; check the network"
        case _ if isinstance(error, OSError) or type(error).__module__.startswith(("httpx", "huggingface_hub")):
            said = str(error).splitlines()[0] if str(error) else type(error).__name__
            told = f"the download failed ({printable(said)}); run again"
        case _:
            raise error
    raise ModelError(f"{repo}: {told}") from error
