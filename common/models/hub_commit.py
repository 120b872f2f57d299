"""Send files to a repository on the HuggingFace Hub, all in one commit: it never shows half of what was sent.

    send_commit("owner/name", "model", {"model.onnx": path, "README.md": b"..."}, message="Student", public=False)

`create_commit` is what `upload_folder` is made of: exactly the listed files travel, and what an interrupted push has
sent of the large ones is found there by its digest and not sent again. HF_TOKEN says who sends, HF_ENDPOINT names a
mirror.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

Kind = Literal["model", "dataset"]
MAY_WRITE = "is HF_TOKEN one that may write there? Run again, it goes on"


def send_commit(
    repo: str,
    kind: Kind,
    files: Mapping[str, Path | bytes],
    message: str,
    public: bool,
    remove: Iterable[str] = (),
) -> None:
    """Make the repository unless it is there (private unless `public`), and commit `files` by their names in it.

    remove: names that the same commit takes away. Raises the client's exceptions; `line_of_client` says them.
    """
    api = HfApi()
    changes: list[CommitOperationAdd | CommitOperationDelete] = [
        CommitOperationAdd(name, content) for name, content in files.items()
    ]
    changes += [CommitOperationDelete(name) for name in remove]
    api.create_repo(repo, repo_type=kind, private=not public, exist_ok=True)
    api.create_commit(repo, changes, commit_message=message, repo_type=kind)


def line_of_client(error: Exception) -> str | None:
    """What the Hub's client or the network says, in a line; None for an exception that is neither's."""
    if not isinstance(error, OSError) and not type(error).__module__.startswith(("httpx", "huggingface_hub")):
        return None
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
