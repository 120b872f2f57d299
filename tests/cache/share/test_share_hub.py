"""Caches as datasets on the Hub, spoken to by the real client: there and back, interrupted, and when it fails."""

from pathlib import Path

import pytest
from huggingface_hub import constants

from cache.share.remote import HubDataset, open_remote
from cache.share.share import pull, push
from common.errors import CacheError
from tests.common.models.hub_repositories import Repositories
from tests.tiny import tree

OUT = Path("caches/pulled")
REPO = "lab/tiny"


def test_there_and_back_in_one_commit_of_a_private_repository(repositories: Repositories, path):
    number = push(path, open_remote(REPO), "unknown", "unknown")
    assert (repositories.commits, len(repositories.repos[REPO])) == (1, number)
    assert repositories.created[0]["type"] == "dataset"
    assert repositories.created[0].get("private") is True or repositories.created[0].get("visibility") == "private"
    pull(open_remote(f"hf://datasets/{REPO}"), OUT)
    here = tree(OUT)
    assert here.pop("ledger/README.md")
    assert here == tree(path)


def test_a_push_that_failed_is_no_cache_and_sends_no_object_twice(repositories: Repositories, path):
    repositories.refuse_commits = True
    with pytest.raises(CacheError, match=r"hf://datasets/lab/tiny: .*HF_TOKEN one that may write there"):
        push(path, open_remote(REPO), "unknown", "unknown")
    with pytest.raises(CacheError, match=r"not there: no cache"):
        pull(open_remote(REPO), OUT)
    sent = list(repositories.put)
    assert len(sent) > 20
    repositories.refuse_commits = False
    push(path, open_remote(REPO), "unknown", "unknown")
    assert repositories.put == sent
    assert pull(open_remote(REPO), OUT).exists()


def test_a_flipped_byte_on_the_hub_is_refused(repositories: Repositories, path):
    push(path, open_remote(REPO), "unknown", "unknown")
    name = "embedding/c/1/0/0"
    whole = repositories.repos[REPO][name]
    repositories.repos[REPO][name] = whole[:5] + bytes([whole[5] ^ 1]) + whole[6:]
    with pytest.raises(CacheError, match=f"{name}: not as the ledger has it"):
        pull(open_remote(REPO), OUT)
    assert not OUT.exists()


def test_an_interrupted_pull_goes_on(repositories: Repositories, path, monkeypatch):
    push(path, open_remote(REPO), "unknown", "unknown")
    monkeypatch.setattr("cache.share.share._AT_ONCE", 1)
    fetched, fetch = [], HubDataset.fetch

    def counting(self, name, to):
        if len(fetched) == 20:
            fetched.append("")
            raise KeyboardInterrupt
        fetch(self, name, to)
        fetched.append(name)

    monkeypatch.setattr(HubDataset, "fetch", counting)
    with pytest.raises(KeyboardInterrupt):
        pull(open_remote(REPO), OUT)
    assert not OUT.exists()
    before = {name for name in fetched[:20] if "/c/" in name}
    del fetched[21:]
    pull(open_remote(REPO), OUT)
    assert not before & set(fetched[21:])
    assert tree(OUT).keys() - tree(path).keys() == {"ledger/README.md"}


def test_a_file_of_another_size_is_refused_before_a_byte_of_it_travels(repositories: Repositories, path):
    push(path, open_remote(REPO), "unknown", "unknown")
    repositories.announced_size["norm/c/0/1"] = 10**12
    with pytest.raises(CacheError, match=r"norm/c/0/1: not as the ledger has it \(1000000000000 bytes, \d+ were"):
        pull(open_remote(REPO), OUT)
    assert not any(
        "norm/c/0/1" in path for method, path, _ in repositories.requests if method == "GET" and "/tree/" not in path
    )


def test_nobody_answering_is_one_line(path, repositories: Repositories, monkeypatch):
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", "http://127.0.0.1:9/{repo_id}/{revision}/{filename}")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(CacheError, match=r"^hf://datasets/lab/tiny: "):
        pull(open_remote(REPO), OUT)
