"""create, write_file, write_many, write_inline: small files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from oastfs.core.errors import (
    AlreadyExists,
    InlineLimitExceeded,
    InvalidArgument,
    IsADirectory,
    LeaseConflict,
    NotFound,
    PermissionDenied,
)
from oastfs.core.types import FileStatus, Flag, WriteRequest
from oastfs.namenode.namespace import Namespace
from tests.unit.namenode.conftest import ALICE, EVE, ROOT, Clock, error_of


def test_create(namespace: Namespace) -> None:
    status = namespace.create(ALICE, "/tmp/f", 0o600, replication=3, block_size=1024)
    assert (status.length, status.replication, status.block_size) == (0, 3, 1024)
    with pytest.raises(AlreadyExists):
        namespace.create(ALICE, "/tmp/f")
    with pytest.raises(AlreadyExists):
        namespace.create(ALICE, "/tmp")
    with pytest.raises(IsADirectory):
        namespace.create(ROOT, "/tmp", overwrite=True)


def test_create_overwrites_in_place(namespace: Namespace) -> None:
    before = namespace.write_file(ALICE, "/tmp/f", b"old", 0o640)
    after = namespace.create(ALICE, "/tmp/f", 0o600, overwrite=True)
    assert (after.inode_id, after.mode, after.length) == (before.inode_id, before.mode, 0)
    assert namespace.open(ALICE, "/tmp/f").data == b""


def test_create_through_a_link(namespace: Namespace) -> None:
    namespace.write_file(ROOT, "/target", b"1")
    namespace.symlink(ROOT, "/l", "/target")
    with pytest.raises(AlreadyExists):
        namespace.create(ROOT, "/l")
    namespace.write_file(ROOT, "/l", b"22")
    assert namespace.open(ROOT, "/target").data == b"22"
    assert namespace.stat(ROOT, "/l", False).is_symlink


@pytest.mark.parametrize(
    "bad",
    [{"mode": 0o100644}, {"replication": -1}, {"replication": 513}, {"block_size": 100}, {"block_size": 513}],
)
def test_create_bad_arguments(namespace: Namespace, bad: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        namespace.create(ROOT, "/f", **bad)
    with pytest.raises(NotFound):
        namespace.stat(ROOT, "/f")


def test_holder_excludes_other_writers(namespace: Namespace, clock: Clock) -> None:
    status = namespace.create(ALICE, "/tmp/f", 0o666, holder="writer-1")
    assert status.flags & Flag.OPEN
    attempts: tuple[Callable[[], object], ...] = (
        lambda: namespace.create(EVE, "/tmp/f", overwrite=True, holder="writer-2"),
        lambda: namespace.write_file(EVE, "/tmp/f", b"x"),
        lambda: namespace.write_inline(EVE, "/tmp/f", [(0, b"x")]),
    )
    for attempt in attempts:
        with pytest.raises(LeaseConflict):
            attempt()
    done = namespace.write_inline(ALICE, "/tmp/f", [(0, b"mine")], holder="writer-1", release=True)
    assert not done.flags & Flag.OPEN
    namespace.write_file(EVE, "/tmp/f", b"x")


def test_write_file(namespace: Namespace) -> None:
    namespace.write_file(ROOT, "/f", b"1")
    with pytest.raises(AlreadyExists):
        namespace.write_file(ROOT, "/f", b"2", overwrite=False)
    with pytest.raises(NotFound):
        namespace.write_file(ROOT, "/a/b/f", b"")
    namespace.write_file(ROOT, "/a/b/f", b"deep", parents=True)
    assert namespace.open(ROOT, "/a/b/f").data == b"deep"
    namespace.write_file(ROOT, "/f", bytes(1024))
    with pytest.raises(InlineLimitExceeded):
        namespace.write_file(ROOT, "/f", bytes(1025))
    assert namespace.stat(ROOT, "/f").length == 1024


def test_write_file_permissions(namespace: Namespace) -> None:
    namespace.write_file(ALICE, "/tmp/f", b"1", 0o644)
    with pytest.raises(PermissionDenied):
        namespace.write_file(EVE, "/tmp/f", b"2")
    with pytest.raises(PermissionDenied):
        namespace.write_file(EVE, "/home/f", b"2")
    assert namespace.open(EVE, "/tmp/f").data == b"1"


def test_write_many(namespace: Namespace) -> None:
    requests = [WriteRequest(f"/many/{number % 3}/{number}", b"x" * number) for number in range(10)]
    requests += [WriteRequest("/tmp", b""), WriteRequest("/many/0/0", b"again", 0o644, False)]
    answers = namespace.write_many(ROOT, requests, True)
    assert all(isinstance(item, FileStatus) for item in answers[:10])
    assert [error_of(item) for item in answers[10:]] == ["IsADirectory", "AlreadyExists"]
    assert namespace.open(ROOT, "/many/1/7").data == b"x" * 7


@pytest.mark.parametrize(
    ("patches", "length", "expected"),
    [
        ([(0, b"AB")], -1, b"ABcdef"),
        ([(4, b"XYZ")], -1, b"abcdXYZ"),
        ([(8, b"!")], -1, b"abcdef\0\0!"),
        ([], 3, b"abc"),
        ([], 8, b"abcdef\0\0"),
        ([(0, b"1"), (1, b"2"), (0, b"3")], 2, b"32"),
        ([(0, b"whole new")], 9, b"whole new"),
        ([(0, b"much longer than that")], 4, b"much"),
        ([(2, b"")], -1, b"abcdef"),
        ([(100, b"")], -1, b"abcdef"),
        ([(0, b"z")], 0, b""),
    ],
)
def test_write_inline(
    namespace: Namespace, patches: list[tuple[int, bytes]], length: int, expected: bytes
) -> None:
    namespace.write_file(ROOT, "/f", b"abcdef")
    status = namespace.write_inline(ROOT, "/f", patches, length)
    assert namespace.open(ROOT, "/f").data == expected
    assert status.length == len(expected)


def test_write_inline_refusals(namespace: Namespace) -> None:
    namespace.write_file(ROOT, "/f", b"abc")
    for patches, length, error in (
        ([(1020, b"12345")], -1, InlineLimitExceeded),
        ([], 1025, InlineLimitExceeded),
        ([(-1, b"x")], -1, InvalidArgument),
        ([], -2, InvalidArgument),
    ):
        with pytest.raises(error):
            namespace.write_inline(ROOT, "/f", patches, length)
    with pytest.raises(IsADirectory):
        namespace.write_inline(ROOT, "/tmp", [(0, b"")])
    with pytest.raises(PermissionDenied):
        namespace.write_inline(EVE, "/f", [(0, b"x")])
    assert namespace.open(ROOT, "/f").data == b"abc"
