"""What is remembered of directories and rows outlives changes that it does not rest upon, and no others."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from oastfs.core.errors import InvalidArgument, NotFound, OastError, StoreFull
from oastfs.core.types import Caller, FileStatus, RenameMode
from oastfs.namenode.context import Context
from oastfs.namenode.filesystem import FormatOptions, format_store
from oastfs.namenode.namespace import Namespace
from oastfs.namenode.ops.delete import delete
from oastfs.namenode.ops.mkdirs import make_directory
from oastfs.namenode.resolving import find
from oastfs.store import open_store
from oastfs.store.lmdb_driver import LmdbStore
from oastfs.store.lmdb_driver.environment import Options
from oastfs.store.staged import StagedTransaction
from oastfs.store.transaction import Transaction
from tests.unit.namenode.conftest import ROOT, finish

USER = Caller("user", 1000, (1000,))
NAMES = ("a", "b", "c")


@pytest.fixture
def namespace(tmp_path: Path) -> Iterator[Namespace]:
    store = open_store(f"lmdb://{tmp_path}/store", create=True)
    format_store(store, FormatOptions())
    yield Namespace(store)
    finish(store)
    store.close()


def remembered(namespace: Namespace) -> set[str]:
    """The paths that a reader begins with now."""
    store = namespace.store
    assert isinstance(store, LmdbStore)
    return store.read(lambda tx: set(tx.memo))


def test_changes_of_files_and_what_is_new_leave_what_is_known_of_directories(namespace: Namespace) -> None:
    namespace.mkdirs(ROOT, "/a/b", 0o755, True, True)
    namespace.write_file(ROOT, "/a/b/file", b"content")
    namespace.stat(ROOT, "/a/b/file")
    assert "/a/b/" in remembered(namespace)
    namespace.write_file(ROOT, "/a/b/other", b"content")
    namespace.rename(ROOT, "/a/b/other", "/a/b/renamed")
    namespace.delete(ROOT, "/a/b/renamed")
    namespace.mkdirs(ROOT, "/a/b/new", 0o755)
    assert "/a/b/" in remembered(namespace)
    for change in (
        lambda: namespace.chmod(ROOT, "/a/b", 0o700),
        lambda: namespace.rename(ROOT, "/a/b/new", "/a/moved"),
        lambda: namespace.rmdir(ROOT, "/a/moved"),
        lambda: namespace.chown(ROOT, "/", 0, 5),
    ):
        namespace.stat(ROOT, "/a/b/file")
        assert "/a/b/" in remembered(namespace)
        change()
        assert remembered(namespace) == set()


def test_what_another_process_changes_is_not_taken_for_harmless(namespace: Namespace, tmp_path: Path) -> None:
    namespace.mkdirs(ROOT, "/a/b", 0o755, True, True)
    namespace.write_file(ROOT, "/a/b/file", b"content")
    namespace.stat(ROOT, "/a/b/file")
    program = f"""
from oastfs.client import connect
with connect("lmdb://{tmp_path}/store") as fs:
    fs.rename("/a", "/moved")
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    with pytest.raises(OastError):
        namespace.write_file(ROOT, "/a/b/more", b"content")
    with pytest.raises(OastError):
        namespace.stat(ROOT, "/a/b/file")
    assert namespace.stat(ROOT, "/moved/b/file").length == 7


def test_what_a_change_did_before_it_failed_is_not_remembered(namespace: Namespace) -> None:
    namespace.mkdirs(ROOT, "/a/b", 0o755, True, True)
    namespace.write_file(ROOT, "/a/b/file", b"content")
    context = namespace.context(ROOT)

    def fail(tx: Transaction) -> None:
        make_directory(tx, context, "/a/b/new", 0o755, False, False)
        delete(tx, context, "/a/b/file", False)
        assert find(tx, context, "/a/b/new") is not None
        raise InvalidArgument("after all that")

    with pytest.raises(InvalidArgument):
        namespace.store.write(fail)
    with pytest.raises(NotFound):
        namespace.write_file(ROOT, "/a/b/new/file", b"content")
    namespace.rename(ROOT, "/a/b/file", "/a/b/renamed")


def test_what_a_group_did_that_was_not_committed_is_not_remembered(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    namespace.mkdirs(ROOT, "/a", 0o755)
    assert isinstance(namespace.store, LmdbStore)
    journal = namespace.store.environment.journal
    with monkeypatch.context() as patch:
        patch.setattr(journal, "append", fail_to_append)
        with pytest.raises(StoreFull):
            namespace.mkdirs(ROOT, "/a/b", 0o755)
    with pytest.raises(NotFound):
        namespace.write_file(ROOT, "/a/b/file", b"content")
    namespace.mkdirs(ROOT, "/a/b", 0o755)
    namespace.write_file(ROOT, "/a/b/file", b"content")


def fail_to_append(*arguments: object) -> None:
    raise StoreFull("no room")


@pytest.mark.parametrize("seed", range(6))
def test_it_is_true_after_any_changes(namespace: Namespace, seed: int) -> None:
    """Whatever happened, a reader with a memory and one without answer the same."""
    chance = random.Random(seed)
    assert isinstance(namespace.store, LmdbStore)
    store = LmdbStore(namespace.store._path, create=False, options=Options())
    fresh = Namespace(store)
    for _ in range(150):
        try:
            change(namespace, chance)
        except OastError:
            pass
        for path in [some_path(chance) for _ in range(8)]:
            for caller in (ROOT, USER):
                store._memo = {}, 0, {}
                assert answer(namespace, caller, path) == answer(fresh, caller, path), path
    store.close()


@pytest.mark.parametrize("seed", range(6))
def test_changes_with_a_memory_are_those_without(tmp_path: Path, seed: int) -> None:
    """Of two stores that are changed alike, in groups, one forgets all before each operation."""
    spaces = []
    for name in ("remembering", "forgetting"):
        store = open_store(f"lmdb://{tmp_path}/{name}", create=True)
        format_store(store, FormatOptions())
        spaces.append(Namespace(store, randomness=random.Random(seed)))
    remembering, forgetting = spaces
    forgetful = _forgetting_first(forgetting)
    chance, outcomes_seen = random.Random(seed), set()
    for _ in range(60):
        group = [some_call(chance) for _ in range(chance.randint(1, 6))]
        outcomes = _together(remembering, group)
        assert outcomes == _together(forgetful, group), group
        outcomes_seen.update(outcomes)
        assert _tree(remembering) == _tree(forgetting), group
    assert None in outcomes_seen and len(outcomes_seen) > 3, "nothing was tried"
    for space in spaces:
        finish(space.store)
        space.store.close()


Call = tuple[str, Caller, tuple[Any, ...]]


def some_call(chance: random.Random) -> Call:
    path, other, caller = some_path(chance), some_path(chance), chance.choice((ROOT, USER))
    arguments: dict[str, tuple[Any, ...]] = {
        "mkdirs": (path, 0o755, True, True, -1),
        "write_file": (path, b"content", 0o644, True, False),
        "rename": (path, other, RenameMode.POSIX, ""),
        "chmod": (path, chance.choice((0o700, 0o755, 0o777)), True),
        "delete": (path, chance.random() < 0.3),
        "symlink": (path, other, False),
        "chown": (path, chance.choice((0, 1000)), 0, True),
    }
    verb = chance.choice(["mkdirs", "mkdirs", *arguments])
    return verb, caller, arguments[verb]


def _together(space: Namespace, group: list[Call]) -> list[type[BaseException] | None]:
    """Have them committed in one group; what went wrong with each."""
    outcomes: dict[int, type[BaseException] | None] = {}
    answered = threading.Semaphore(0)

    def taker(number: int) -> Callable[[Any, BaseException | None], None]:
        def done(result: Any, error: BaseException | None) -> None:
            outcomes[number] = None if error is None else type(error)
            answered.release()

        return done

    space.submit_together([(*call, taker(number)) for number, call in enumerate(group)])
    for _ in group:
        assert answered.acquire(timeout=60), "a change was not answered"
    assert not any(kind is not None and not issubclass(kind, OastError) for kind in outcomes.values())
    return [outcomes[number] for number in range(len(group))]


def _forgetting_first(space: Namespace) -> Namespace:
    """The same namespace, each of whose operations begins with an empty memo and knows no rows."""
    load = space._load

    def loading(verb: str) -> Callable[..., Any]:
        function = load(verb)

        def forgetting(tx: Transaction, context: Context, *arguments: Any) -> Any:
            tx.memo = {}  # type: ignore[misc]  # a slot of the engines' classes
            if isinstance(tx, StagedTransaction):
                tx._known = {}
            return function(tx, context, *arguments)

        space._operations[verb] = forgetting
        return forgetting

    space._load = loading  # type: ignore[method-assign]  # where every operation comes from
    return space


def _tree(space: Namespace) -> list[tuple[str, int, int]]:
    found: list[tuple[str, int, int]] = []
    pending = ["/"]
    while pending:
        above = pending.pop()
        for status in space.listdir(ROOT, above).entries:
            path = f"{above.rstrip('/')}/{status.name}"
            found.append((path, status.mode, status.uid))
            if status.is_directory:
                pending.append(path)
    return sorted(found)


def some_path(chance: random.Random) -> str:
    return "/" + "/".join(chance.choice(NAMES) for _ in range(chance.randint(1, 4)))


def change(fs: Namespace, chance: random.Random) -> None:
    path, other = some_path(chance), some_path(chance)
    match chance.randrange(9):
        case 0 | 1 | 2:
            fs.mkdirs(ROOT, path, 0o755, True, True)
        case 3:
            fs.write_file(ROOT, path, b"content", parents=True)
        case 4:
            fs.rename(ROOT, path, other)
        case 5:
            fs.chmod(ROOT, path, chance.choice((0o700, 0o755, 0o711)))
        case 6:
            fs.delete(ROOT, path, chance.random() < 0.5)
        case 7:
            fs.symlink(ROOT, path, other, False)
        case 8:
            fs.chown(ROOT, path, chance.choice((0, 1000)), 0)


def answer(fs: Namespace, caller: Caller, path: str) -> FileStatus | type[OastError]:
    try:
        return fs.stat(caller, path)
    except OastError as error:
        return type(error)
