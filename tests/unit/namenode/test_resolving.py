"""What transactions remember of paths never shows: not for odd paths, not to others, not after changes."""

from __future__ import annotations

import pytest

from oastfs.core.errors import InvalidPath, NameTooLong, NotADirectory, NotFound, OastError, PermissionDenied
from oastfs.core.types import RenameMode
from oastfs.namenode import resolving, tree
from oastfs.namenode.context import Context
from oastfs.namenode.namespace import Namespace
from oastfs.namenode.ops.mkdirs import mkdirs
from oastfs.namenode.ops.rename import rename
from oastfs.store.transaction import Transaction
from tests.unit.namenode.conftest import ALICE, BOB, ROOT

LONG = "n" * 256
ODD = {
    "": InvalidPath, "d": InvalidPath, "d/file": InvalidPath, "/d/": InvalidPath, "//d": InvalidPath,
    "/d//file": InvalidPath, "/d/file/": InvalidPath, "/d/.": InvalidPath, "/d/..": InvalidPath,
    "/./d": InvalidPath, "/d/file\0": InvalidPath, f"/d/{LONG}": NameTooLong, "/d/file/x": NotADirectory,
    "/d/missing": NotFound, "/d/missing/x": NotFound, "/d/" + "é" * 200: NameTooLong,
}  # fmt: skip


def _outcome(tx: Transaction, context: Context, path: str, follow: bool = True) -> object:
    try:
        return tree.resolve(tx, context, path, follow).name
    except OastError as error:
        return type(error)


def test_odd_paths(namespace: Namespace) -> None:
    namespace.write_file(ROOT, "/d/file", b"", parents=True)

    def look(tx: Transaction) -> None:
        context = namespace.context(ROOT)
        for _ in range(2):
            assert {path: _outcome(tx, context, path) for path in ODD} == ODD
            assert [_outcome(tx, context, path) for path in ("/", "/d", "/d/file")] == ["", "d", "file"]
            for path, error in ODD.items():
                if error is not NotFound or path.endswith("/x"):
                    with pytest.raises(error):
                        tree.resolve_slot(tx, context, path, writing=False)

    namespace.store.read(look)
    namespace.store.read(look)


def test_permissions_are_each_callers_own(namespace: Namespace) -> None:
    namespace.write_file(ROOT, "/closed/d/file", b"", parents=True)
    namespace.chmod(ROOT, "/closed", 0o700)
    namespace.chown(ROOT, "/closed", ALICE.uid, ALICE.gid)

    def look(tx: Transaction) -> None:
        for _ in range(2):
            assert _outcome(tx, namespace.context(ALICE), "/closed/d/file") == "file"
            assert _outcome(tx, namespace.context(BOB), "/closed/d/file") is PermissionDenied
            assert _outcome(tx, namespace.context(BOB), "/closed/d") is PermissionDenied
            assert _outcome(tx, namespace.context(BOB), "/closed") == "closed"

    namespace.store.read(look)
    namespace.store.read(look)
    namespace.chmod(ALICE, "/closed", 0o755)
    namespace.chmod(ROOT, "/closed/d", 0o700)
    assert namespace.store.read(lambda tx: _outcome(tx, namespace.context(BOB), "/closed/d")) == "d"
    found = namespace.store.read(lambda tx: _outcome(tx, namespace.context(BOB), "/closed/d/file"))
    assert found is PermissionDenied


def test_an_operation_sees_what_it_changed(namespace: Namespace) -> None:
    namespace.mkdirs(ROOT, "/a/b/c")

    def move(tx: Transaction) -> None:
        context = namespace.context(ROOT)
        assert _outcome(tx, context, "/a/b/c") == "c"
        rename(tx, context, "/a/b", "/a/moved", RenameMode.POSIX, "")
        assert [_outcome(tx, context, path) for path in ("/a/b/c", "/a/b")] == [NotFound, NotFound]
        assert _outcome(tx, context, "/a/moved/c") == "c"
        mkdirs(tx, context, "/a/b/new", 0o755, True, True)
        assert [_outcome(tx, context, path) for path in ("/a/b/new", "/a/b/c")] == ["new", NotFound]

    namespace.store.write(move)
    assert namespace.store.read(lambda tx: _outcome(tx, namespace.context(ROOT), "/a/b/new")) == "new"


def test_links_are_followed_anew(namespace: Namespace) -> None:
    namespace.write_file(ROOT, "/d/file", b"", parents=True)
    namespace.symlink(ROOT, "/link", "/d")
    namespace.symlink(ROOT, "/d/self", "self")

    def look(tx: Transaction) -> None:
        context = namespace.context(ROOT)
        for _ in range(2):
            assert _outcome(tx, context, "/link/file") == "file"
            assert _outcome(tx, context, "/link") == "d"
            assert _outcome(tx, context, "/link", False) == "link"
            assert _outcome(tx, context, "/link/.") is InvalidPath
            assert isinstance(_outcome(tx, context, "/link/self/x"), type)

    namespace.store.read(look)
    namespace.store.read(look)


def test_readers_see_each_change(namespace: Namespace) -> None:
    for number in range(20):
        namespace.mkdirs(ROOT, f"/d{number}/sub")
        assert namespace.stat(ROOT, f"/d{number}/sub").is_directory
        namespace.rename(ROOT, f"/d{number}", "/moved", RenameMode.POSIX)
        assert namespace.stat(ROOT, "/moved/sub").is_directory
        with pytest.raises(NotFound):
            namespace.stat(ROOT, f"/d{number}/sub")
        namespace.delete(ROOT, "/moved", True)
        with pytest.raises(NotFound):
            namespace.stat(ROOT, "/moved/sub")


def test_walks_that_begin_at_a_remembered_directory(namespace: Namespace) -> None:
    """They find what a walk from the root finds, and complain of the same path."""
    namespace.write_file(ROOT, "/a/b/c/d/file", b"", parents=True)
    namespace.write_file(ROOT, "/a/open/closed/d/file", b"", parents=True)
    namespace.symlink(ROOT, "/a/b/link", "c/d")
    namespace.chmod(ROOT, "/a/open/closed", 0o700)
    deep = "/a" + "/deep" * 40
    namespace.mkdirs(ROOT, deep)
    expected = {
        "/a/b/c/d/file": "file", "/a/b/link/file": "file", "/a/b/link/file/x/y": NotADirectory,
        "/a/b/c/d/file/x": NotADirectory, "/a/b/c/none/x/y": NotFound, "/a/b/c/d/./x": InvalidPath,
        "/a/open/closed/d/file": PermissionDenied, "/a/open/closed/d": PermissionDenied, deep: "deep",
    }  # fmt: skip

    def each_alone(context: Context, path: str) -> object:
        return namespace.store.read(lambda tx: _complaint(tx, context, path))

    def after_each_other(tx: Transaction) -> list[object]:
        tx.memo = {}  # type: ignore[misc]  # a slot of the engines' classes
        tree.resolve(tx, alice, "/a")
        return [_complaint(tx, alice, path) for path in [*expected, *reversed(expected), *expected]]

    alice = namespace.context(ALICE)
    assert {path: _outcome_of(each_alone(alice, path)) for path in expected} == expected
    alone = {path: each_alone(alice, path) for path in expected}
    assert namespace.store.read(after_each_other) == [
        alone[path] for path in [*expected, *reversed(expected), *expected]
    ]


def _complaint(tx: Transaction, context: Context, path: str) -> object:
    """The name that was found, or the error with all that it says."""
    try:
        return tree.resolve(tx, context, path).name
    except OastError as error:
        return type(error), str(error)


def _outcome_of(complaint: object) -> object:
    return complaint[0] if isinstance(complaint, tuple) else complaint


def test_more_directories_than_are_remembered(namespace: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolving, "_REMEMBERED_MAX", 1000)
    paths = [f"/many/d{number:04}" for number in range(1200)]
    for path in paths:
        namespace.mkdirs(ROOT, path)
    found = namespace.stat_many(ROOT, [f"{path}/missing" for path in paths] + paths, True)
    assert [type(one).__name__ for one in found] == ["Fault"] * 1200 + ["FileStatus"] * 1200
