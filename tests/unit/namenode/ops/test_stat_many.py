"""stat_many: batches with faults."""

from __future__ import annotations

import pytest

from oastfs.core.errors import InvalidArgument
from oastfs.core.types import FileStatus
from oastfs.namenode.namespace import Namespace
from tests.unit.namenode.conftest import EVE, ROOT, error_of


def test_each_item_answers_for_itself(namespace: Namespace) -> None:
    namespace.write_file(ROOT, "/a", b"1")
    namespace.mkdirs(ROOT, "/locked", 0o700)
    first, missing, bad, denied = namespace.stat_many(EVE, ["/a", "/b", "c", "/locked/x"])
    assert isinstance(first, FileStatus) and first.length == 1
    assert error_of(missing) == "NotFound"
    assert error_of(bad) == "InvalidPath"
    assert error_of(denied) == "PermissionDenied"


def test_follow(namespace: Namespace) -> None:
    namespace.symlink(ROOT, "/l", "/nothing")
    (link,) = namespace.stat_many(ROOT, ["/l"], False)
    (target,) = namespace.stat_many(ROOT, ["/l"])
    assert isinstance(link, FileStatus) and link.is_symlink
    assert error_of(target) == "NotFound"


def test_limit(namespace: Namespace) -> None:
    with pytest.raises(InvalidArgument):
        namespace.stat_many(ROOT, ["/"] * 100_001)
