"""lookup: entries by their directory's id, on stores of both kinds."""

from __future__ import annotations

import pytest

from oastfs.core.errors import InvalidPath, NameTooLong, NotADirectory, PermissionDenied, StaleHandle
from oastfs.namenode.namespace import Namespace
from tests.unit.namenode.conftest import ALICE, ROOT


def test_finds_what_stat_finds(namespace: Namespace) -> None:
    directory = namespace.mkdirs(ROOT, "/dir/below", 0o750, True, False).parent_id
    namespace.write_file(ROOT, "/dir/file", b"content")
    namespace.link(ROOT, "/dir/file", "/dir/other")
    namespace.symlink(ROOT, "/dir/symlink", "file", False)
    for name in ("below", "file", "other", "symlink"):
        for _ in range(2):  # before and after it is known what it is
            assert namespace.lookup(ROOT, directory, name) == namespace.stat(ROOT, f"/dir/{name}", False)
    assert namespace.lookup(ROOT, directory, "missing") is None
    # What was seen there is not believed.
    namespace.rmdir(ROOT, "/dir/below")
    namespace.write_file(ROOT, "/dir/below", b"a file now")
    assert namespace.lookup(ROOT, directory, "below") == namespace.stat(ROOT, "/dir/below")
    namespace.rename(ROOT, "/dir/below", "/dir/moved")
    assert namespace.lookup(ROOT, directory, "below") is None
    for name in (".", "..", "a/b"):
        with pytest.raises(InvalidPath):
            namespace.lookup(ROOT, directory, name)
    with pytest.raises(NameTooLong):
        namespace.lookup(ROOT, directory, "n" * 256)
    with pytest.raises(PermissionDenied):
        namespace.lookup(ALICE, directory, "file")


def test_what_is_no_directory(namespace: Namespace) -> None:
    file = namespace.write_file(ROOT, "/file", b"content").inode_id
    if not namespace.store.reads_inline:
        # The entry is asked for, and nothing else.
        assert namespace.lookup(ROOT, file, "name") is None
        assert namespace.lookup(ROOT, 12_345_678, "name") is None
        return
    with pytest.raises(NotADirectory):
        namespace.lookup(ROOT, file, "name")
    with pytest.raises(StaleHandle):
        namespace.lookup(ROOT, 12_345_678, "name")
