"""What the clients of the torture write down is what they were told, and no more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from oastfs.client import connect
from oastfs.client.filesystem import Filesystem
from oastfs.core.types import SUPERUSER, Caller, FileStatus
from oastfs.namenode.filesystem import FormatOptions, format_store
from oastfs.store import open_store
from tests.harness.cluster import run_oastfs
from tests.harness.torture import _answer, history, settle
from tests.harness.tree_history import FAILED


@pytest.fixture
def fs(tmp_path: Path) -> Iterator[Filesystem]:
    url = f"lmdb://{tmp_path}/store"
    store = open_store(url, create=True)
    format_store(store, FormatOptions())
    store.close()
    with connect(url) as connected:
        yield connected
    run_oastfs("fsck", url)


def test_a_directory_is_listed_by_its_names(fs: Filesystem) -> None:
    fs.metadata.mkdirs(SUPERUSER, "/a", 0o755, False, False)
    assert _answer(fs.metadata, "", 1, "list", ["/a"]) == []
    fs.metadata.write_file(SUPERUSER, "/a/a", b"1")
    assert _answer(fs.metadata, "", 1, "list", ["/a"]) == ["a"]


def test_a_directory_that_is_a_file_before_it_is_listed(
    fs: Filesystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = fs.metadata
    metadata.mkdirs(SUPERUSER, "/a", 0o755, False, False)
    stat = metadata.stat

    def stat_and_replace(caller: Caller, path: str) -> FileStatus:
        status = stat(caller, path)
        metadata.delete(caller, path, True)
        metadata.write_file(caller, path, b"1")
        return status

    monkeypatch.setattr(metadata, "stat", stat_and_replace)
    assert _answer(metadata, "", 1, "list", ["/a"]) is None


# --- what nobody heard of ---------------------------------------------------------------------------


def written(path: Path, *notes: dict[str, object]) -> list[Path]:
    """A client's log."""
    path.write_text("".join(f"{json.dumps(note)}\n" for note in notes))
    return [path]


def test_the_store_tells_what_has_happened_of_which_nobody_heard(tmp_path: Path) -> None:
    logs = written(
        tmp_path / "log",
        {"number": 1, "verb": "mkdir", "paths": ["/a"], "at": 10},
        {"number": 1, "sent": ["c", 7], "at": 11},
        {"number": 2, "verb": "mkdir", "paths": ["/b"], "at": 20},
        {"number": 2, "sent": ["c", 8], "at": 21},
        {"number": 3, "verb": "mkdir", "paths": ["/c"], "at": 30},
    )
    (settled,) = settle(history(logs), logs, {("c", 7)}, 99)
    assert (settled.number, settled.answer, settled.called_at, settled.answered_at) == (1, "", 10, 99)


@pytest.mark.parametrize(("answer", "kept"), [("", set()), (FAILED, {("c", 7)})], ids=["lost", "refused"])
def test_the_store_has_something_else_than_was_told(
    tmp_path: Path, answer: str, kept: set[tuple[str, int]]
) -> None:
    logs = written(
        tmp_path / "log",
        {"number": 1, "verb": "mkdir", "paths": ["/a"], "at": 10},
        {"number": 1, "sent": ["c", 7], "at": 11},
        {"number": 1, "answer": answer, "at": 12},
    )
    with pytest.raises(AssertionError, match="not what was told"):
        settle(history(logs), logs, kept, 99)
