"""readlink and symlink: targets as written."""

from __future__ import annotations

import pytest

from oastfs.core.errors import (
    AlreadyExists,
    InvalidArgument,
    NameTooLong,
    NotFound,
    NotUtf8,
    PermissionDenied,
    SymlinkLoop,
)
from oastfs.namenode.namespace import Namespace
from tests.unit.namenode.conftest import EVE, ROOT


@pytest.mark.parametrize("target", ["/a/b", "../x/./y//", "missing", "a" * 4095, "ä/\U0001f600"])
def test_round_trip(namespace: Namespace, target: str) -> None:
    status = namespace.symlink(EVE, "/tmp/l", target)
    assert namespace.readlink(EVE, "/tmp/l") == target
    assert status.length == len(target.encode()) and status.is_symlink


@pytest.mark.parametrize(
    ("target", "error"),
    [("", NotFound), ("a" * 4096, NameTooLong), ("a\0b", InvalidArgument), ("\udc80", NotUtf8)],
)
def test_bad_targets(namespace: Namespace, target: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        namespace.symlink(ROOT, "/tmp/l", target)
    with pytest.raises(NotFound):
        namespace.stat(ROOT, "/tmp/l", False)


def test_existing(namespace: Namespace) -> None:
    with pytest.raises(AlreadyExists):
        namespace.symlink(ROOT, "/tmp", "x")


def test_parents(namespace: Namespace) -> None:
    with pytest.raises(NotFound):
        namespace.symlink(ROOT, "/p/q/l", "x")
    namespace.symlink(ROOT, "/p/q/l", "x", True)
    assert namespace.readlink(ROOT, "/p/q/l") == "x"


def test_permission(namespace: Namespace) -> None:
    with pytest.raises(PermissionDenied):
        namespace.symlink(EVE, "/home/l", "x")


def test_readlink_of_others(namespace: Namespace) -> None:
    with pytest.raises(InvalidArgument):
        namespace.readlink(ROOT, "/tmp")


def test_dot_dot_needs_the_right_to_search(namespace: Namespace) -> None:
    namespace.mkdirs(ROOT, "/secret", 0o700)
    namespace.symlink(ROOT, "/l", "secret/../tmp")
    assert namespace.stat(ROOT, "/l").name == "tmp"
    with pytest.raises(PermissionDenied):
        namespace.stat(EVE, "/l")


def test_links_that_lead_over_dot_dot_end(namespace: Namespace) -> None:
    """Each of them doubles the way: all links on it have to count."""
    for number in range(40):
        namespace.symlink(ROOT, f"/k{number}", f"k{number + 1}/../k{number + 1}")
    namespace.mkdirs(ROOT, "/k40")
    assert namespace.stat(ROOT, "/k37").name == "k40"
    with pytest.raises(SymlinkLoop):
        namespace.stat(ROOT, "/k0")
