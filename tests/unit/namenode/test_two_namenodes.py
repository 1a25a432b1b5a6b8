"""Two namenodes on one database, three shards, or Citus: pairs of changes come out as if made one by one.

The first change is worked out on its snapshot; before it commits, the second one is made by another
namenode and is committed. What is there in the end, and what both callers are told, must be what one of the
two orders gives on a store that runs one transaction after the other.
"""

from __future__ import annotations

import itertools
import os
import random
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from oastfs.core.errors import OastError
from oastfs.core.types import SUPERUSER, RenameMode
from oastfs.namenode.filesystem import FormatOptions, format_store
from oastfs.namenode.jobs.reclaim import Reclaim
from oastfs.namenode.namespace import Namespace
from oastfs.namenode.ops import operation
from oastfs.store import open_store
from oastfs.store.transaction import Transaction
from tests.unit.namenode.conftest import finish

ROOT = SUPERUSER
OPTIONS = FormatOptions(block_size=4096, replication=1, inline_limit=1024)

Change = tuple[Any, ...]
"""A verb, and its arguments; of texts, ``@`` stands for the pair's own directory."""

CHANGES: dict[str, Change] = {
    "create in e": ("create", "@/e/new", 0o644, False, False, "", 1, 4096),
    "create in e, with parents": ("create", "@/e/x/new", 0o644, False, True, "", 1, 4096),
    "create new": ("create", "@/new", 0o644, False, False, "", 1, 4096),
    "overwrite f": ("create", "@/f", 0o644, True, False, "", 1, 4096),
    "mkdir in e": ("mkdirs", "@/e/d", 0o755, False, False),
    "mkdir new": ("mkdirs", "@/new", 0o755, False, False),
    "rmdir e": ("rmdir", "@/e"),
    "rmdir sub": ("rmdir", "@/a/sub"),
    "delete e": ("delete", "@/e", True),
    "delete a": ("delete", "@/a", True),
    "delete b": ("delete", "@/b", True),
    "unlink f": ("unlink", "@/f", ""),
    "unlink l1": ("unlink", "@/l1", ""),
    "unlink l2": ("unlink", "@/l2", ""),
    "a into b": ("rename", "@/a", "@/b/a", RenameMode.POSIX, ""),
    "b into a": ("rename", "@/b", "@/a/b", RenameMode.POSIX, ""),
    "b below a": ("rename", "@/b", "@/a/sub/b", RenameMode.POSIX, ""),
    "p's into q's": ("rename", "@/p/in", "@/q/in/p", RenameMode.POSIX, ""),
    "q's into p's": ("rename", "@/q/in", "@/p/in/q", RenameMode.POSIX, ""),
    "q's with a file of p's": ("rename", "@/p/in/file", "@/q/in", RenameMode.EXCHANGE, ""),
    "e into a": ("rename", "@/e", "@/a/e", RenameMode.POSIX, ""),
    "f into e": ("rename", "@/f", "@/e/f", RenameMode.POSIX, ""),
    "f to g": ("rename", "@/f", "@/g", RenameMode.NO_REPLACE, ""),
    "f over l1": ("rename", "@/f", "@/l1", RenameMode.POSIX, ""),
    "e over sub": ("rename", "@/e", "@/a/sub", RenameMode.POSIX, ""),
    "sub over e": ("rename", "@/a/sub", "@/e", RenameMode.POSIX, ""),
    "f with b": ("rename", "@/a/g", "@/b", RenameMode.EXCHANGE, ""),
    "a with sub's neighbour": ("rename", "@/f", "@/a/sub", RenameMode.EXCHANGE, ""),
    "link f in e": ("link", "@/f", "@/e/link"),
    "link l1": ("link", "@/l1", "@/l3"),
    "chmod f": ("chmod", "@/f", 0o600, True),
    "chmod l1": ("chmod", "@/l1", 0o600, True),
    "chmod e": ("chmod", "@/e", 0o700, True),
    "truncate f": ("truncate", "@/f", 1),
    "truncate l2": ("truncate", "@/l2", 1),
    "xattr of f": ("set_xattr", "@/f", "user.x", b"1", True, True, True),
    "symlink in e": ("symlink", "@/e/s", "target", False),
}


def prepare(namespace: Namespace, top: str) -> None:
    for path in ("a/sub", "b", "e", "p/in", "q/in"):
        namespace.mkdirs(ROOT, f"{top}/{path}", 0o755)
    for path in ("f", "a/g", "b/h", "l1", "p/in/file"):
        namespace.write_file(ROOT, f"{top}/{path}", b"content")
    namespace.link(ROOT, f"{top}/l1", f"{top}/l2")


def state_of(namespace: Namespace, top: str) -> dict[str, tuple[Any, ...]]:
    """All that is below, without ids and times."""
    found = {}
    pending = [top]
    while pending:
        directory = pending.pop()
        for entry in namespace.listdir(ROOT, directory, "", 1000).entries:
            path = f"{directory}/{entry.name}"
            found[path.removeprefix(top)] = (entry.mode, entry.nlink, entry.length, entry.flags)
            if entry.mode & 0o170000 == 0o040000:
                pending.append(path)
    return found


def arguments_of(change: Change, top: str) -> tuple[Any, ...]:
    return tuple(one.replace("@", top) if isinstance(one, str) else one for one in change[1:])


def outcome(make: Callable[[], Any]) -> str:
    try:
        make()
    except OastError as error:
        return type(error).__name__
    return "done"


def call(namespace: Namespace, change: Change, top: str) -> str:
    return outcome(lambda: namespace.call(change[0], ROOT, *arguments_of(change, top)))


def call_around(first: Namespace, change: Change, top: str, between: Callable[[], str]) -> list[str]:
    """Make a change; after it was worked out for the first time, and before it commits, ``between`` runs.

    What became of both.
    """
    told: list[str] = []
    function, arguments = operation(change[0]), arguments_of(change, top)
    attempts = itertools.count()

    def attempt(tx: Transaction) -> Any:
        try:
            return function(tx, first.context(ROOT), *arguments)
        finally:
            if next(attempts) == 0:
                told.append(between())

    return [outcome(lambda: first.store.write(attempt)), *told]


@pytest.fixture(params=["database", "shards", pytest.param("citus_database", marks=pytest.mark.long)])
def namenodes(request: pytest.FixtureRequest) -> Iterator[tuple[Namespace, Namespace]]:
    urls = request.getfixturevalue(request.param)
    stores = [open_store(urls), open_store(urls)]
    format_store(stores[0], OPTIONS)
    yield Namespace(stores[0]), Namespace(stores[1])
    finish(stores[0])
    for store in stores:
        store.close()


@pytest.fixture
def reference(tmp_path: Path) -> Iterator[Namespace]:
    store = open_store(f"lmdb://{tmp_path}/store", create=True)
    format_store(store, OPTIONS)
    yield Namespace(store)
    store.close()


@pytest.mark.parametrize("name", sorted(CHANGES))
@pytest.mark.parametrize("others", [2, pytest.param(len(CHANGES), marks=pytest.mark.long)])
def test_pairs_of_changes(
    name: str, others: int, namenodes: tuple[Namespace, Namespace], reference: Namespace
) -> None:
    """Each change with some others, drawn by chance; with all of them in the long run."""
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    first, second = namenodes
    change = CHANGES[name]
    for number, other_name in enumerate(random.Random(seed).sample(sorted(CHANGES), others)):
        other = CHANGES[other_name]
        expected = []
        for order, changes in enumerate(((change, other), (other, change))):
            top = f"/{number}.{order}"
            prepare(reference, top)
            told = [call(reference, one, top) for one in changes]
            expected.append((told if order == 0 else told[::-1], state_of(reference, top)))
        top = f"/{number}"
        prepare(first, top)
        told = call_around(first, change, top, partial(call, second, other, top))
        got = (told, state_of(second, top))
        assert got in expected, f"{name!r} while another makes {other_name!r}"


@pytest.mark.parametrize("seconds", [4, pytest.param(60, marks=pytest.mark.long)])
def test_random_changes_by_many_threads(namenodes: tuple[Namespace, Namespace], seconds: int) -> None:
    """Whatever threads of two namenodes do to a few paths while space is reclaimed, fsck finds nothing."""
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    problems: list[BaseException] = []
    stop = threading.Event()
    names = [f"/{one}" for one in "abcd"] + [f"/{one}/{two}" for one in "abcd" for two in "abc"]
    names += [f"/{one}/{two}/x" for one in "ab" for two in "ab"]

    def work(namespace: Namespace, number: int) -> None:
        chance = random.Random(f"{seed} {number}")
        try:
            while not stop.is_set():
                _change_something(namespace, chance, names)
        except BaseException as error:
            problems.append(error)

    def reclaim(namespace: Namespace) -> None:
        job = Reclaim(namespace)
        try:
            while not stop.wait(0.05):
                job.run_once(namespace.context(ROOT).now_ns)
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=reclaim, args=(namespace,)) for namespace in namenodes]
    threads += [
        threading.Thread(target=work, args=(namenodes[number % 2], number), daemon=True)
        for number in range(6)
    ]
    for thread in threads:
        thread.start()
    stop.wait(seconds)
    stop.set()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a thread hangs"
    assert problems == []


def _change_something(namespace: Namespace, chance: random.Random, names: list[str]) -> None:
    path, other = chance.choice(names), chance.choice(names)
    changes: list[Callable[[], Any]] = [
        lambda: namespace.mkdirs(ROOT, path, 0o755, chance.random() < 0.3, True),
        lambda: namespace.write_file(ROOT, path, b"x" * chance.randrange(100)),
        lambda: namespace.rename(ROOT, path, other, RenameMode.POSIX, ""),
        lambda: namespace.rename(ROOT, path, other, RenameMode.EXCHANGE, ""),
        lambda: namespace.delete(ROOT, path, chance.random() < 0.5),
        lambda: namespace.link(ROOT, path, other),
        lambda: namespace.unlink(ROOT, path, ""),
        lambda: namespace.chmod(ROOT, path, chance.randrange(0o1000), True),
        lambda: namespace.set_xattr(ROOT, path, "user.x", b"1", True, True, True),
        lambda: namespace.truncate(ROOT, path, chance.randrange(100)),
    ]
    outcome(chance.choice(changes))
