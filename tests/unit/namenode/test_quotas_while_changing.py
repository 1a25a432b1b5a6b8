"""A directory gets its first quota while others change its tree: what is counted is right, on every store."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from oastfs.core.errors import NotFound, OastError
from oastfs.core.types import SUPERUSER, RenameMode
from oastfs.namenode.filesystem import FormatOptions, format_store
from oastfs.namenode.namespace import Namespace
from oastfs.namenode.ops import operation
from oastfs.namenode.quotas import announce
from oastfs.store import open_store
from oastfs.store.transaction import Transaction
from tests.unit.namenode.conftest import finish

ROOT = SUPERUSER
WAIT_SECONDS = 30.0

CHANGES: dict[str, tuple[Any, ...]] = {
    "a new file": ("write_file", "/t/d/new", b"12345", 0o644, True, False),
    "a new directory": ("mkdirs", "/t/d/new", 0o755, False, False),
    "a file less": ("unlink", "/t/d/file", ""),
    "a longer file": ("write_file", "/t/d/file", b"1234567890", 0o644, True, False),
    "a shorter file": ("truncate", "/t/d/file", 1),
    "a file to elsewhere": ("rename", "/t/d/file", "/file", RenameMode.POSIX, ""),
    "a tree less": ("delete", "/t/d", True),
}


@pytest.fixture(params=["lmdb", "database", "shards", pytest.param("citus_database", marks=pytest.mark.long)])
def namenodes(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Namespace, Namespace]]:
    """Two on one store, with a tree."""
    urls = f"lmdb://{tmp_path}/store" if request.param == "lmdb" else request.getfixturevalue(request.param)
    stores = [open_store(urls, create=request.param == "lmdb")]
    format_store(stores[0], FormatOptions(block_size=4096, replication=1, inline_limit=1024))
    if request.param != "lmdb":
        stores.append(open_store(urls))
    first = Namespace(stores[0])
    first.mkdirs(ROOT, "/t/d", 0o755)
    first.write_file(ROOT, "/t/d/file", b"content")
    yield first, Namespace(stores[-1])
    finish(stores[0])
    for store in stores:
        store.close()


def at_the_same_time(*bodies: Callable[[], Any]) -> None:
    errors: list[BaseException] = []

    def run(body: Callable[[], Any]) -> None:
        try:
            body()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_SECONDS)
        assert not thread.is_alive(), "it hangs"
    assert not errors, errors


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_a_change_that_began_before(name: str, namenodes: tuple[Namespace, Namespace]) -> None:
    """It was worked out when there was no quota, and comes through when there is one."""
    first, second = namenodes
    verb, *arguments = CHANGES[name]
    function = operation(verb)
    begun, quota_set = threading.Event(), threading.Event()
    attempts = itertools.count()

    def change(tx: Transaction) -> None:
        function(tx, first.context(ROOT), *arguments)
        if next(attempts) == 0:
            begun.set()
            # Wherever transactions come one after the other, or wait for this one, it has to go on.
            quota_set.wait(0.5)

    def set_quota() -> None:
        assert begun.wait(WAIT_SECONDS)
        second.set_quota(ROOT, "/t", 100, 1 << 20)
        quota_set.set()

    at_the_same_time(lambda: first.store.write(change), set_quota)
    usage, summary = second.quota_usage(ROOT, "/t"), second.content_summary(ROOT, "/t")
    assert usage.names == summary.file_count + summary.directory_count
    assert usage.space == summary.space_consumed
    assert usage.name_quota == 100


MOVES: dict[str, tuple[Any, ...]] = {
    "into a quota": ("rename", "/t", "/limited/t", RenameMode.POSIX, ""),
    "out of a quota": ("rename", "/limited/u", "/u", RenameMode.POSIX, ""),
    "away": ("delete", "/limited/u", True),
}


@pytest.mark.parametrize("which_first", ["change", "move"])
@pytest.mark.parametrize("name", ["a new file", "a longer file", "a tree less"])
@pytest.mark.parametrize("move", sorted(MOVES))
def test_a_change_below_what_moves(
    move: str, name: str, which_first: str, namenodes: tuple[Namespace, Namespace]
) -> None:
    """One is worked out and waits to be committed while the other is carried out."""
    first, second = namenodes
    for path in ("/limited", "/limited/u/d"):
        first.mkdirs(ROOT, path, 0o755)
    first.write_file(ROOT, "/limited/u/d/file", b"content")
    first.set_quota(ROOT, "/limited", 100, 1 << 20)
    top = "/t" if move.startswith("into") else "/limited/u"
    change = tuple(
        value.replace("/t/", f"{top}/") if isinstance(value, str) else value for value in CHANGES[name]
    )
    slow, quick = (change, MOVES[move]) if which_first == "change" else (MOVES[move], change)
    begun, done = threading.Event(), threading.Event()
    attempts = itertools.count()

    def carry_out_slowly(tx: Transaction) -> None:
        operation(slow[0])(tx, first.context(ROOT), *slow[1:])
        if next(attempts) == 0:
            begun.set()
            done.wait(0.5)

    def carry_out() -> None:
        assert begun.wait(WAIT_SECONDS)
        gone_to_elsewhere(
            lambda: second.store.write(lambda tx: operation(quick[0])(tx, second.context(ROOT), *quick[1:]))
        )
        done.set()

    at_the_same_time(lambda: gone_to_elsewhere(lambda: first.store.write(carry_out_slowly)), carry_out)
    usage, summary = second.quota_usage(ROOT, "/limited"), second.content_summary(ROOT, "/limited")
    assert usage.names == summary.file_count + summary.directory_count
    assert usage.space == summary.space_consumed


def gone_to_elsewhere(body: Callable[[], Any]) -> None:
    """What came second may find nothing at its path any more."""
    with suppress(NotFound):
        body()


def test_many_changes(namenodes: tuple[Namespace, Namespace]) -> None:
    """Quotas come and go while files do; fsck counts at the end."""
    stop = threading.Event()

    def work(namespace: Namespace, number: int) -> Callable[[], None]:
        def body() -> None:
            for turn in itertools.count():
                if stop.is_set():
                    return
                path = f"/t/d/{number}.{turn % 7}"
                try:
                    if turn % 3 == 2:
                        namespace.unlink(ROOT, path)
                    else:
                        namespace.write_file(ROOT, path, b"x" * (turn % 50))
                except OastError:
                    continue

        return body

    def set_quotas() -> None:
        try:
            for turn in range(12):
                namenodes[turn % 2].set_quota(ROOT, "/t", 1000, -1)
                if turn < 11:
                    namenodes[1 - turn % 2].set_quota(ROOT, "/t", -1, -1)
        finally:
            stop.set()

    at_the_same_time(set_quotas, *(work(namenodes[number % 2], number) for number in range(3)))
    assert namenodes[0].quota_usage(ROOT, "/t").name_quota == 1000


def test_a_quota_that_was_announced_only(namenodes: tuple[Namespace, Namespace]) -> None:
    """Whoever set it died before the tree was counted: there is no limit, and the next one counts."""
    first, second = namenodes
    directory_id = first.stat(ROOT, "/t").inode_id
    first.store.write(lambda tx: announce(tx, directory_id))
    first.write_file(ROOT, "/t/d/other", b"content")
    usage = second.quota_usage(ROOT, "/t")
    assert (usage.names, usage.name_quota) == (4, -1)
    finish(first.store)
    second.set_quota(ROOT, "/t", 4, -1)
    assert second.quota_usage(ROOT, "/t").names == 4
    with pytest.raises(OastError, match="quota"):
        first.write_file(ROOT, "/t/d/more", b"content")
