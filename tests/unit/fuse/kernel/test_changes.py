"""When changes are committed, and by whom; none may be left lying while the session waits for requests."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

from oastfs.client.filesystem import Filesystem
from oastfs.fuse.effects import Change
from oastfs.fuse.filesystem import InodeFilesystem
from oastfs.fuse.kernel import protocol as p
from oastfs.fuse.kernel.changes import PASSES_MAX, QUIET_CHANGES, Changes
from oastfs.fuse.kernel.protocol import Opcode
from oastfs.namenode.namespace import Namespace
from tests.unit.fuse.conftest import ROOT, ROOT_ID
from tests.unit.fuse.kernel.test_session import Kernel, kernel

__all__ = ["kernel"]


@pytest.fixture
def changes(mounted: InodeFilesystem) -> Changes:
    assert isinstance(mounted.metadata, Namespace)
    changes = Changes(mounted.metadata)
    changes.begin()
    return changes


def mkdir(name: str) -> Change:
    return Change("mkdirs", ROOT, f"/{name}", 0o755, False, False)


def test_what_waits_is_committed_on_the_serving_thread(filesystem: Filesystem, changes: Changes) -> None:
    done_on: list[int] = []
    for number in range(3):
        changes.add(mkdir(f"d{number}"), lambda result, error: done_on.append(threading.get_ident()))
    assert done_on == []
    assert changes.commit()
    assert done_on == [threading.get_ident()] * 3
    assert all(filesystem.exists(f"/d{number}") for number in range(3))


def test_what_an_answer_leads_to_is_committed_too(filesystem: Filesystem, changes: Changes) -> None:
    """Else it would lie there until somebody makes another request, and its caller would hang."""
    changes.add(mkdir("first"), lambda result, error: changes.add(mkdir("second"), lambda *outcome: None))
    assert changes.commit()
    assert not filesystem.exists("/second")
    assert changes.commit()
    assert not changes.commit()
    assert filesystem.exists("/second")


def test_requests_come_first_but_not_for_ever(filesystem: Filesystem, changes: Changes) -> None:
    """A change waits for no more than so many requests of who makes changes."""
    changes.asked(0)
    changes.add(mkdir("dir"), lambda *outcome: None)
    for _ in range(PASSES_MAX - 1):
        changes.asked(0)
    assert not filesystem.exists("/dir")
    changes.asked(0)
    assert filesystem.exists("/dir")
    assert not changes.commit()


def test_the_stores_thread_commits_while_others_ask(changes: Changes) -> None:
    done = threading.Semaphore(0)
    here: list[bool] = []

    def note(result: Any, error: BaseException | None) -> None:
        here.append(threading.get_ident() == serving)
        done.release()

    serving = threading.get_ident()
    changes.asked(7)
    changes.add(mkdir("waiting"), note)
    assert 7 in changes.recent
    changes.asked(8)
    changes.asked(7)
    for number in range(QUIET_CHANGES):
        changes.add(mkdir(f"d{number}"), note)
    assert changes.waiting == []
    for _ in range(QUIET_CHANGES + 1):
        assert done.acquire(timeout=30), "a change was not answered"
    assert not any(here)
    changes.add(mkdir("together-again"), note)
    assert len(changes.waiting) == 1
    changes.commit()
    assert done.acquire(timeout=30), "the last change was not answered"


def test_an_error_is_an_answer(changes: Changes) -> None:
    errors: list[BaseException | None] = []
    take: Callable[[Any, BaseException | None], None] = lambda result, error: errors.append(error)  # noqa: E731
    changes.add(Change("no_such_verb", ROOT), take)
    changes.commit()
    changes.add(mkdir("dir"), take)
    changes.add(mkdir("dir"), take)
    changes.commit()
    assert [type(error).__name__ for error in errors] == ["NoSuchVerb", "NoneType", "AlreadyExists"]


def test_a_link_to_what_is_being_written_is_answered(kernel: Kernel, filesystem: Filesystem) -> None:
    """Two changes one after the other, while no other request comes."""
    node = kernel.create(b"file")
    kernel.ask(Opcode.WRITE, node, p.WRITE_IN.pack(node, 0, 4, 0, 0, 0, 0) + b"data")
    code, _ = kernel.ask(Opcode.LINK, ROOT_ID, p.LINK_IN.pack(node) + b"other\0")
    assert code == 0
    assert filesystem.read_bytes("/other") == b"data"
    assert kernel.ask(Opcode.RELEASE, node, bytes(24)) == (0, b"")
    assert os.fsencode("other") in {os.fsencode(entry.name) for entry in filesystem.listdir("/")}


def test_who_asks_twice_asks_alone(changes: Changes) -> None:
    alone = []
    for thread in (7, 7, 8, 7, 7):
        changes.asked(thread)
        alone.append(changes.asked_alone)
    assert alone == [False, True, False, False, True]
