"""What readers remember of directories outlives changes that it does not rest upon, and no others."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from oastfs.core.errors import OastError
from oastfs.core.types import Caller, FileStatus
from oastfs.namenode.filesystem import FormatOptions, format_store
from oastfs.namenode.namespace import Namespace
from oastfs.store import open_store
from oastfs.store.lmdb_driver import LmdbStore
from oastfs.store.lmdb_driver.environment import Options
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


def test_changes_of_files_leave_what_is_known_of_directories(namespace: Namespace) -> None:
    namespace.mkdirs(ROOT, "/a/b", 0o755, True, True)
    namespace.write_file(ROOT, "/a/b/file", b"content")
    namespace.stat(ROOT, "/a/b/file")
    assert "/a/b/" in remembered(namespace)
    namespace.write_file(ROOT, "/a/b/other", b"content")
    namespace.rename(ROOT, "/a/b/other", "/a/b/renamed")
    namespace.delete(ROOT, "/a/b/renamed")
    assert "/a/b/" in remembered(namespace)
    for change in (
        lambda: namespace.mkdirs(ROOT, "/a/b/new", 0o755),
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
    namespace.write_file(ROOT, "/other", b"content")
    with pytest.raises(OastError):
        namespace.stat(ROOT, "/a/b/file")
    assert namespace.stat(ROOT, "/moved/b/file").length == 7


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
