"""Weights from the HuggingFace Hub: one file of tensors and, if there is one, CVLFace's description beside it.

The repository's Python files are never fetched, so none of its code can run. `huggingface_hub` honours HF_TOKEN,
HF_HOME or HF_HUB_CACHE (where files are kept), HF_ENDPOINT (a mirror) and HF_HUB_OFFLINE=1 (only what is kept already).
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from huggingface_hub import constants, errors, hf_hub_download, try_to_load_from_cache

from common.errors import ModelError

WEIGHTS = ("model.safetensors", "pretrained_model/model.safetensors", "pretrained_model/model.pt", "backbone.pth")
"""Where repositories keep their weights, best first."""

DESCRIPTION = "pretrained_model/model.yaml"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class HubFile:
    """A file of a repository on this disk, at the commit it belongs to; `sha256` is what the Hub says, if it does."""

    path: Path
    repo: str
    revision: str
    file: str
    sha256: str | None


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
        ModelError: no network, no access, no such repository, revision or file, or a broken download.
    """
    candidates = (file,) if file else WEIGHTS
    path, found = _kept(repo, candidates, revision, cache_dir) or _download(repo, candidates, revision, cache_dir)
    # The client keeps <repo>/snapshots/<commit>/<file>, a link to <repo>/blobs/<digest the Hub gave>.
    commit = path.parents[found.count("/")].name
    digest = path.resolve().name
    _fetch_description(repo, commit, cache_dir)
    return HubFile(path, repo, commit, found, digest if _SHA256.fullmatch(digest) else None)


def _kept(repo: str, files: tuple[str, ...], revision: str | None, cache_dir: Path | None) -> tuple[Path, str] | None:
    """A file of a pinned commit that is on this disk: a commit never changes, so nobody need be asked."""
    if revision is None or not _COMMIT.fullmatch(revision):
        return None
    for file in files:
        path = try_to_load_from_cache(repo, file, cache_dir, revision)
        if isinstance(path, str):
            return Path(path), file
    return None


def _download(repo: str, files: tuple[str, ...], revision: str | None, cache_dir: Path | None) -> tuple[Path, str]:
    unreachable: Exception | None = None
    for file in files:
        try:
            kept_only = unreachable is not None
            path = hf_hub_download(repo, file, revision=revision, cache_dir=cache_dir, local_files_only=kept_only)
            return Path(path), file
        except errors.LocalEntryNotFoundError as error:
            unreachable = unreachable or error
        except errors.EntryNotFoundError:
            continue
        except Exception as error:
            _explain(error, repo, revision)
    if unreachable is not None:
        _explain(unreachable, repo, revision)
    raise ModelError(
        f"{repo}: has none of {', '.join(files)} at revision {revision or 'main'}; name the file with hf://"
    )


def _fetch_description(repo: str, commit: str, cache_dir: Path | None) -> None:
    if try_to_load_from_cache(repo, DESCRIPTION, cache_dir, commit) is not None:
        return  # on this disk, or known not to exist
    try:
        hf_hub_download(repo, DESCRIPTION, revision=commit, cache_dir=cache_dir)
    except errors.EntryNotFoundError:
        pass  # optional, and out of reach while offline
    except Exception as error:
        _explain(error, repo, commit)


def _explain(error: Exception, repo: str, revision: str | None) -> NoReturn:
    """Turn the client's exception into one line that says what to do; anything that is not the client's goes on."""
    at = revision or "main"
    cause = error.__cause__ or error
    status = getattr(getattr(cause, "response", None), "status_code", None)
    match error:
        case errors.HFValidationError():
            told = "is not a repository name (owner/name)"
        case errors.GatedRepoError():
            told = f"is gated; accept its terms on {constants.ENDPOINT}/{repo} and set HF_TOKEN"
        case errors.RevisionNotFoundError():
            told = f"has no revision {at}"
        case errors.RepositoryNotFoundError():
            told = "does not exist, or is private: check the name, or set HF_TOKEN to a token that may read it"
        case errors.LocalEntryNotFoundError() if constants.HF_HUB_OFFLINE:
            told = f"revision {at} is not on this disk and HF_HUB_OFFLINE is set; unset it where there is network"
        case _ if status in (401, 403):
            told = f"access refused ({status}); set HF_TOKEN to a token that may read it"
        case _ if status is not None:
            told = f"{constants.ENDPOINT} answered {status}; try again later"
        case errors.LocalEntryNotFoundError():
            told = f"no answer from {constants.ENDPOINT} and revision {at} is not on this disk; check the network"
        case _ if isinstance(error, OSError) or type(error).__module__.startswith(("httpx", "huggingface_hub")):
            told = (
                f"the download failed ({str(error).splitlines()[0] if str(error) else type(error).__name__}); run again"
            )
        case _:
            raise error
    raise ModelError(f"{repo}: {told}") from error
