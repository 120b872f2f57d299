"""Where caches are shared: a folder behind any fsspec URL, or a dataset repository on the HuggingFace Hub.

    open_remote("s3://bucket/caches/lfw")      open_remote("file:///mnt/share/lfw")
    open_remote("hf://datasets/owner/name")    open_remote("owner/name")

Both fetch and send whole files by name. On the Hub everything is sent as one commit (`common/models/hub_commit.py`):
the repository never shows half a cache, and what an interrupted push has sent is not sent again.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import fsspec
from fsspec.implementations.local import LocalFileSystem
from huggingface_hub import HfApi, get_hf_file_metadata, hf_hub_download, hf_hub_url
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError, RepositoryNotFoundError
from huggingface_hub.hf_api import RepoFile

from common.errors import CacheError
from common.files import make_folder, replacing, sha256_of
from common.models import MAY_WRITE, line_of_client, send_commit
from common.writers import at_work

_HUB = re.compile(r"(?:hf://datasets/)?([\w.-]+/[\w.-]+?)/?")
MANIFEST_FILE = "zarr.json"


class Remote(Protocol):
    """One shared cache."""

    url: str

    def size(self, name: str) -> int | None:
        """Bytes of a file; None where only fetching tells. Raises FileNotFoundError, or CacheError."""

    def fetch(self, name: str, to: Path) -> None:
        """Copy a file to `to`, which appears when it is whole. Raises FileNotFoundError, or CacheError."""

    def send(self, files: Mapping[str, Path | bytes]) -> None:
        """Store files, the last one last of all; those that are there with the same bytes are not sent again."""


def open_remote(url: str, public: bool = False) -> Remote:
    """Raises CacheError for a URL of a kind nobody here can read. public: a repository that is made is not private."""
    hub = _HUB.fullmatch(url)
    if hub:
        return HubDataset(hub[1], public)
    try:
        files, root = fsspec.core.url_to_fs(url)
        return LocalFolder(url, files, root) if isinstance(files, LocalFileSystem) else Folder(url, files, root)
    except (ValueError, ImportError) as error:
        raise CacheError(
            f"{url}: {error}: give an fsspec URL such as file:///folder, or owner/name on the Hub"
        ) from None


class Folder:
    """A folder behind an fsspec URL."""

    def __init__(self, url: str, files: fsspec.AbstractFileSystem, root: str) -> None:
        self.url, self._files, self._root = url, files, root.rstrip("/")

    def size(self, name: str) -> int | None:
        try:
            size = self._files.size(self._path(name))
        except FileNotFoundError:
            raise
        except OSError as error:
            raise CacheError(f"{self.url}/{name}: cannot be read ({error}): run again, it goes on") from error
        return None if size is None else int(size)

    def fetch(self, name: str, to: Path) -> None:
        make_folder(to.parent)
        part = to.with_name(f".{to.name}.part")
        try:
            self._files.get_file(self._path(name), str(part))
        except FileNotFoundError:
            raise
        except OSError as error:
            raise CacheError(f"{self.url}/{name}: cannot be read ({error}): run again, it goes on") from error
        if not part.is_file():
            raise CacheError(f"{self.url}/{name}: a folder where a file should be: have it pushed again elsewhere")
        os.replace(part, to)

    def send(self, files: Mapping[str, Path | bytes]) -> None:
        try:
            for name, content in files.items():
                if not self._has(name, content):
                    self._put(name, content)
        except OSError as error:
            raise CacheError(f"{self.url}: cannot be written ({error}): run again, it goes on") from error

    def _has(self, name: str, content: Path | bytes) -> bool:
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        try:
            if self._files.size(self._path(name)) != size:
                return False
            with self._files.open(self._path(name), "rb") as there:
                digest = hashlib.file_digest(there, "sha256").hexdigest()
        except FileNotFoundError:
            return False
        return digest == (hashlib.sha256(content).hexdigest() if isinstance(content, bytes) else sha256_of(content))

    def _put(self, name: str, content: Path | bytes) -> None:
        self._files.makedirs(self._path(name).rsplit("/", 1)[0], exist_ok=True)
        if isinstance(content, bytes):
            self._files.pipe_file(self._path(name), content)
        else:
            self._files.put_file(str(content), self._path(name))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


class LocalFolder(Folder):
    """A folder of this machine (or mounted on it): each file is whole and on the disk before the next is begun."""

    def size(self, name: str) -> int | None:
        self._require_regular(name)
        return super().size(name)

    def fetch(self, name: str, to: Path) -> None:
        self._require_regular(name)
        super().fetch(name, to)

    def _require_regular(self, name: str) -> None:
        here = Path(self._path(name))
        if here.exists() and not here.is_file():
            raise CacheError(f"{self.url}/{name}: not a regular file: have it pushed again elsewhere")

    def send(self, files: Mapping[str, Path | bytes]) -> None:
        with at_work(Path(self._root), "a push"):
            for folder in {Path(self._path(name)).parent for name in files}:
                for unfinished in folder.glob(".*.tmp"):
                    unfinished.unlink()
            super().send(files)

    def _put(self, name: str, content: Path | bytes) -> None:
        with replacing(Path(self._path(name))) as temporary:
            if isinstance(content, bytes):
                temporary.write_bytes(content)
            else:
                shutil.copyfile(content, temporary)


class HubDataset:
    """A dataset repository; HF_TOKEN says who asks, HF_ENDPOINT names a mirror. All fetches are of one commit."""

    def __init__(self, repo: str, public: bool) -> None:
        self.repo, self.url, self._public = repo, f"hf://datasets/{repo}", public
        self._commit: str | None = None
        self._sizes: dict[str, int] | None = None

    def size(self, name: str) -> int | None:
        try:
            if self._sizes is None:
                commit = self._pinned(name)
                listing = HfApi().list_repo_tree(self.repo, repo_type="dataset", revision=commit, recursive=True)
                self._sizes = {file.path: file.size for file in listing if isinstance(file, RepoFile)}
        except Exception as error:
            raise self._said(name, error) from error
        if name not in self._sizes:
            raise FileNotFoundError(name)
        return self._sizes[name]

    def fetch(self, name: str, to: Path) -> None:
        folder = to
        for _ in name.split("/"):
            folder = folder.parent
        assert folder / name == to, "the Hub's client keeps a file under its own name"
        try:
            hf_hub_download(self.repo, name, repo_type="dataset", revision=self._pinned(name), local_dir=folder)
        except Exception as error:
            raise self._said(name, error) from error

    def _pinned(self, name: str) -> str | None:
        """The commit that all is fetched of, as it is when the first file is asked for."""
        if self._commit is None:
            self._commit = get_hf_file_metadata(hf_hub_url(self.repo, name, repo_type="dataset")).commit_hash
        return self._commit

    def _said(self, name: str, error: Exception) -> Exception:
        """A failure to fetch or to list, as FileNotFoundError or CacheError."""
        match error:
            case LocalEntryNotFoundError():  # what the client says when nobody answers
                return self._failed(error, "check the network, and run again, it goes on")
            case EntryNotFoundError():
                return FileNotFoundError(name)
            case RepositoryNotFoundError():
                return FileNotFoundError(f"{name} (no such dataset, or a private one: HF_TOKEN says who asks)")
            case _:
                return self._failed(error, "run again, it goes on")

    def send(self, files: Mapping[str, Path | bytes]) -> None:
        try:
            send_commit(self.repo, "dataset", files, "Teacher cache", self._public)
        except Exception as error:
            raise self._failed(error, MAY_WRITE) from error

    def _failed(self, error: Exception, advice: str) -> Exception:
        """The client's exceptions as one line; what is not the client's as it is."""
        line = line_of_client(error)
        return error if line is None else CacheError(f"{self.url}: {line}: {advice}")
