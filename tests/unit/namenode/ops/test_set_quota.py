"""Quotas: what counts, what is refused, and what is left alone. Every test ends with a recount (fsck)."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from oastfs.core.errors import (
    InvalidArgument,
    NameQuotaExceeded,
    NotADirectory,
    NotFound,
    NotPermitted,
    SpaceQuotaExceeded,
)
from oastfs.core.limits import QUOTA_NONE, QUOTA_UNCHANGED
from oastfs.core.path import by_id
from oastfs.core.types import BlockCommit, QuotaUsage, RenameMode, TypeQuota, WriteRequest
from oastfs.namenode import quotas
from oastfs.namenode.jobs.reclaim import Reclaim
from oastfs.namenode.namespace import Namespace
from oastfs.store.schema import QUOTA
from tests.harness.fleet import Fleet
from tests.unit.namenode.conftest import ALICE, ROOT, Clock, error_of, names
from tests.unit.namenode.ops.test_truncate import rows, write


def usage(namespace: Namespace, path: str) -> tuple[int, int]:
    found = namespace.quota_usage(ROOT, path)
    return found.names, found.space


def test_names_below_and_the_directory_itself_count(namespace: Namespace) -> None:
    namespace.mkdirs(ROOT, "/q/a")
    namespace.set_quota(ROOT, "/q", 4, QUOTA_UNCHANGED)
    assert namespace.quota_usage(ROOT, "/q") == QuotaUsage(2, 0, 4, QUOTA_NONE)
    namespace.write_file(ROOT, "/q/a/f", b"x" * 100)
    namespace.symlink(ROOT, "/q/l", "f")
    assert usage(namespace, "/q") == (4, 101)
    with pytest.raises(NameQuotaExceeded) as refused:
        namespace.mkdirs(ROOT, "/q/b")
    assert refused.value.errno == errno.EDQUOT
    assert refused.value.message == (
        "The NameSpace quota (directories and files) of directory /q is exceeded: quota=4 file count=5"
    )
    assert names(namespace, "/q") == ["a", "l"]
    namespace.unlink(ROOT, "/q/l")
    namespace.mkdirs(ROOT, "/q/b")
    namespace.rmdir(ROOT, "/q/b")
    assert usage(namespace, "/q") == (3, 100)


@pytest.mark.parametrize("how", ["create", "mkdirs", "mknod", "symlink", "link", "write_file", "rename"])
def test_every_way_to_make_a_name_is_refused(namespace: Namespace, how: str) -> None:
    namespace.mkdirs(ROOT, "/q")
    namespace.write_file(ROOT, "/out", b"")
    namespace.set_quota(ROOT, "/q", 1, -1)
    makes = {
        "create": lambda: namespace.create(ROOT, "/q/new"),
        "mkdirs": lambda: namespace.mkdirs(ROOT, "/q/new/deep"),
        "mknod": lambda: namespace.mknod(ROOT, "/q/new", 0o010600),
        "symlink": lambda: namespace.symlink(ROOT, "/q/new", "x"),
        "link": lambda: namespace.link(ROOT, "/out", "/q/new"),
        "write_file": lambda: namespace.write_file(ROOT, "/q/new", b"x"),
        "rename": lambda: namespace.rename(ROOT, "/out", "/q/new"),
    }
    with pytest.raises(NameQuotaExceeded):
        makes[how]()
    assert names(namespace, "/q") == [] and usage(namespace, "/q") == (1, 0)


def test_the_nearest_directory_is_named(namespace: Namespace) -> None:
    namespace.mkdirs(ROOT, "/q/inner")
    namespace.set_quota(ROOT, "/q", 2, -1)
    namespace.set_quota(ROOT, "/q/inner", 1, -1)
    with pytest.raises(NameQuotaExceeded, match="of directory /q/inner is"):
        namespace.mkdirs(ROOT, "/q/inner/x")
    namespace.set_quota(ROOT, "/q/inner", 100, -1)
    with pytest.raises(NameQuotaExceeded, match="of directory /q is"):
        namespace.mkdirs(ROOT, "/q/inner/x")
    assert usage(namespace, "/q/inner") == (1, 0)


def test_inline_content_counts_once_and_blocks_with_replicas(namespace: Namespace, fleet: Fleet) -> None:
    namespace.mkdirs(ROOT, "/q")
    namespace.set_quota(ROOT, "/q", -1, 50_000)
    namespace.write_file(ROOT, "/q/inline", b"x" * 1000)
    write(namespace, fleet, "/q/blocks", [4096, 100])
    assert usage(namespace, "/q") == (3, 1000 + 2 * 4196)
    namespace.set_replication(ROOT, "/q/blocks", 3)
    assert usage(namespace, "/q") == (3, 1000 + 3 * 4196)
    namespace.truncate(ROOT, "/q/blocks", 10)
    namespace.write_inline(ROOT, "/q/inline", [(0, b"y")], length=5)
    assert usage(namespace, "/q") == (3, 30 + 5)
    namespace.create(ROOT, "/q/blocks", overwrite=True)
    namespace.write_file(ROOT, "/q/inline", b"1234567")
    assert usage(namespace, "/q") == (3, 7)


def test_more_content_than_space_is_refused(namespace: Namespace, fleet: Fleet) -> None:
    namespace.mkdirs(ROOT, "/q")
    write(namespace, fleet, "/q/blocks", [4096])
    namespace.write_file(ROOT, "/q/f", b"x" * 100)
    namespace.set_quota(ROOT, "/q", -1, 1 << 13)
    with pytest.raises(SpaceQuotaExceeded) as refused:
        namespace.write_file(ROOT, "/q/g", b"x")
    assert refused.value.message == (
        "The DiskSpace quota of /q is exceeded: quota = 8192 B = 8 KB "
        "but diskspace consumed = 8293 B = 8.10 KB"
    )
    changes: tuple[Callable[[], object], ...] = (
        lambda: namespace.write_inline(ROOT, "/q/f", [(100, b"x")]),
        lambda: namespace.truncate(ROOT, "/q/f", 101),
        lambda: namespace.set_replication(ROOT, "/q/blocks", 3),
        lambda: namespace.truncate(ROOT, "/q/blocks", 5000),
    )
    for change in changes:
        with pytest.raises(SpaceQuotaExceeded):
            change()
    # What is over its limit may shrink, and be changed otherwise.
    namespace.write_inline(ROOT, "/q/f", [(0, b"y" * 100)], length=99)
    namespace.chmod(ROOT, "/q/f", 0o600)
    namespace.mkdirs(ROOT, "/q/empty")
    assert usage(namespace, "/q") == (4, 8291)


def test_a_whole_block_has_to_fit(namespace: Namespace, fleet: Fleet) -> None:
    namespace.mkdirs(ROOT, "/q")
    namespace.set_quota(ROOT, "/q", -1, 2 * 8192 - 1)
    namespace.create(ROOT, "/q/f", holder="w")
    block = namespace.add_block(ROOT, "/q/f", "w", 0)
    with pytest.raises(SpaceQuotaExceeded, match="16384 B = 16 KB"):
        namespace.add_block(ROOT, "/q/f", "w", 4096)
    namespace.commit(ROOT, "/q/f", "w", [fleet.write_block(block, 4096)])
    with pytest.raises(SpaceQuotaExceeded):
        namespace.add_block(ROOT, "/q/f", "w", 4096)
    namespace.set_quota(ROOT, "/q", -1, 2 * 8192)
    block = namespace.add_block(ROOT, "/q/f", "w", 4096)
    namespace.complete(ROOT, "/q/f", "w", [fleet.write_block(block, 1)])
    assert usage(namespace, "/q") == (2, 2 * 4097)


def test_a_commit_past_the_limit_is_refused(namespace: Namespace, fleet: Fleet) -> None:
    namespace.mkdirs(ROOT, "/q")
    namespace.set_quota(ROOT, "/q", -1, 8192)
    commits: dict[str, BlockCommit] = {}
    for name in ("one", "two"):
        namespace.create(ROOT, f"/q/{name}", holder="w")
        commits[name] = fleet.write_block(namespace.add_block(ROOT, f"/q/{name}", "w", 0), 4096)
    namespace.complete(ROOT, "/q/one", "w", [commits["one"]])
    with pytest.raises(SpaceQuotaExceeded):
        namespace.complete(ROOT, "/q/two", "w", [commits["two"]])
    assert usage(namespace, "/q") == (3, 8192)


def test_trees_that_move_take_their_usage_along(namespace: Namespace) -> None:
    namespace.mkdirs(ROOT, "/q/a/b/c")
    namespace.mkdirs(ROOT, "/r")
    namespace.write_file(ROOT, "/q/a/b/f", b"12345")
    namespace.set_quota(ROOT, "/q", 100, -1)
    namespace.set_quota(ROOT, "/q/a/b", 100, -1)
    namespace.set_quota(ROOT, "/r", 4, 5)
    with pytest.raises(NameQuotaExceeded, match="of directory /r is exceeded: quota=4 file count=5"):
        namespace.rename(ROOT, "/q/a", "/r/a")
    assert (usage(namespace, "/q"), usage(namespace, "/r")) == ((5, 5), (1, 0))
    namespace.set_quota(ROOT, "/r", 5, QUOTA_UNCHANGED)
    namespace.rename(ROOT, "/q/a", "/r/a")
    assert (usage(namespace, "/q"), usage(namespace, "/r")) == ((1, 0), (5, 5))
    assert usage(namespace, "/r/a/b") == (3, 5)


def test_what_stays_in_a_full_directory_may_move(namespace: Namespace) -> None:
    namespace.mkdirs(ROOT, "/q/a/b")
    namespace.mkdirs(ROOT, "/q/c")
    namespace.set_quota(ROOT, "/q", 1, -1)
    namespace.rename(ROOT, "/q/a/b", "/q/c/b")
    namespace.rename(ROOT, "/q/c", "/q/d")
    assert usage(namespace, "/q") == (4, 0)


def test_a_replaced_file_makes_room(namespace: Namespace) -> None:
    namespace.mkdirs(ROOT, "/q")
    namespace.write_file(ROOT, "/q/f", b"12345")
    namespace.write_file(ROOT, "/new", b"1234567")
    namespace.set_quota(ROOT, "/q", 2, 6)
    with pytest.raises(SpaceQuotaExceeded):
        namespace.rename(ROOT, "/new", "/q/f")
    namespace.set_quota(ROOT, "/q", 2, 7)
    namespace.rename(ROOT, "/new", "/q/f", RenameMode.HDFS_OVERWRITE)
    assert usage(namespace, "/q") == (2, 7)


def test_an_exchange_counts_the_difference(namespace: Namespace) -> None:
    namespace.mkdirs(ROOT, "/q/tree/deep")
    namespace.mkdirs(ROOT, "/r")
    namespace.write_file(ROOT, "/r/f", b"1")
    namespace.set_quota(ROOT, "/q", 3, -1)
    namespace.set_quota(ROOT, "/r", 3, -1)
    namespace.rename(ROOT, "/q/tree", "/r/f", RenameMode.EXCHANGE)
    assert (usage(namespace, "/q"), usage(namespace, "/r")) == ((2, 1), (3, 0))


def test_deleted_trees_count_for_nobody(namespace: Namespace, fleet: Fleet, clock: Clock) -> None:
    namespace.mkdirs(ROOT, "/q/a/b")
    write(namespace, fleet, "/q/a/b/f", [100])
    namespace.write_file(ROOT, "/q/kept", b"12")
    kept = namespace.unlink(ROOT, "/q/kept", "mount").inode_id
    namespace.set_quota(ROOT, "/q", 4, -1)
    namespace.set_quota(ROOT, "/q/a/b", 2, -1)
    namespace.delete(ROOT, "/q/a", recursive=True)
    assert usage(namespace, "/q") == (1, 0)
    namespace.write_inline(ROOT, by_id(kept), [(0, b"more")])
    assert usage(namespace, "/q") == (1, 0)
    Reclaim(namespace).run_all(clock())
    assert rows(namespace, QUOTA) == 2, "the marker, and the quota of /q"


def test_each_name_of_a_linked_file_counts(namespace: Namespace) -> None:
    namespace.mkdirs(ROOT, "/q/a")
    namespace.mkdirs(ROOT, "/r")
    namespace.write_file(ROOT, "/q/f", b"12345")
    namespace.set_quota(ROOT, "/q", -1, 100)
    namespace.set_quota(ROOT, "/r", -1, 6)
    namespace.link(ROOT, "/q/f", "/q/a/g")
    namespace.link(ROOT, "/q/f", "/r/h")
    assert (usage(namespace, "/q"), usage(namespace, "/r")) == ((4, 10), (2, 5))
    namespace.write_inline(ROOT, "/q/f", [(5, b"6")])
    assert (usage(namespace, "/q"), usage(namespace, "/r")) == ((4, 12), (2, 6))
    with pytest.raises(SpaceQuotaExceeded, match="of /r "):
        namespace.write_inline(ROOT, "/q/a/g", [(6, b"7")])
    namespace.rename(ROOT, "/r/h", "/q/h")
    namespace.unlink(ROOT, "/q/f")
    assert (usage(namespace, "/q"), usage(namespace, "/r")) == ((4, 12), (1, 0))
    namespace.unlink(ROOT, "/q/h")
    namespace.unlink(ROOT, "/q/a/g")
    assert usage(namespace, "/q") == (2, 0)


def test_a_file_of_a_batch_that_is_refused_leaves_nothing(namespace: Namespace) -> None:
    namespace.mkdirs(ROOT, "/q")
    namespace.write_file(ROOT, "/q/old", b"old")
    namespace.set_quota(ROOT, "/q", 4, 10)
    requests = [
        WriteRequest("/q/old", b"much too much"),
        WriteRequest("/q/d/e/f", b""),
        WriteRequest("/q/new", b"1234567"),
    ]
    answers = namespace.write_many(ROOT, requests, True)
    assert [error_of(one) for one in answers[:2]] == ["SpaceQuotaExceeded", "NameQuotaExceeded"]
    assert names(namespace, "/q") == ["new", "old"]
    assert namespace.open(ROOT, "/q/old").data == b"old"
    assert usage(namespace, "/q") == (3, 10)


def test_limits_change_one_by_one_and_go(namespace: Namespace) -> None:
    assert not namespace.store.read(quotas.active)
    namespace.mkdirs(ROOT, "/q")
    namespace.set_quota(ROOT, "/q", 5, QUOTA_UNCHANGED)
    namespace.set_quota(ROOT, "/q", QUOTA_UNCHANGED, 100)
    namespace.set_quota(ROOT, "/q", QUOTA_UNCHANGED, 50, "SSD")
    types = (TypeQuota("SSD", 50),)
    assert namespace.quota_usage(ROOT, "/q") == QuotaUsage(1, 0, 5, 100, types)
    summary = namespace.content_summary(ROOT, "/q")
    assert (summary.name_quota, summary.space_quota, summary.type_quotas) == (5, 100, types)
    namespace.set_quota(ROOT, "/q", -1, -1)
    assert namespace.store.read(quotas.active)
    namespace.set_quota(ROOT, "/q", QUOTA_UNCHANGED, -1, "SSD")
    assert not namespace.store.read(quotas.active)
    assert namespace.quota_usage(ROOT, "/q") == QuotaUsage(1, 0)
    assert namespace.content_summary(ROOT, "/q").name_quota == -1


def test_the_root_has_one_as_any_directory(namespace: Namespace) -> None:
    before = usage(namespace, "/")[0]
    namespace.set_quota(ROOT, "/", before + 1, -1)
    namespace.mkdirs(ROOT, "/tmp/x")
    with pytest.raises(NameQuotaExceeded, match="of directory / is"):
        namespace.mkdirs(ROOT, "/tmp/y")


def test_an_empty_directory_with_a_quota_goes(namespace: Namespace) -> None:
    namespace.mkdirs(ROOT, "/q")
    namespace.set_quota(ROOT, "/q", 1, -1)
    namespace.rmdir(ROOT, "/q")
    assert rows(namespace, QUOTA) == 0


def test_another_process_sets_the_first_one(namespace: Namespace, clock: Clock) -> None:
    namespace.mkdirs(ROOT, "/q")
    Namespace(namespace.store, clock_ns=clock).set_quota(ROOT, "/q", 1, -1)
    with pytest.raises(NameQuotaExceeded):
        namespace.mkdirs(ROOT, "/q/x")


def test_what_cannot_be_set(namespace: Namespace) -> None:
    namespace.write_file(ROOT, "/f", b"")
    with pytest.raises(NotADirectory):
        namespace.set_quota(ROOT, "/f", 1, -1)
    with pytest.raises(NotFound):
        namespace.set_quota(ROOT, "/nowhere", 1, -1)
    with pytest.raises(NotPermitted, match="Superuser privilege is required"):
        namespace.set_quota(ALICE, "/home/alice", 1, -1)
    for arguments in ((0, -1), (-2, -1), (1 << 63, -1), (1, -2)):
        with pytest.raises(InvalidArgument):
            namespace.set_quota(ROOT, "/tmp", *arguments)
    with pytest.raises(InvalidArgument, match="RAM_DISK"):
        namespace.set_quota(ROOT, "/tmp", -1, 1, "RAM_DISK")


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KB"),
        (1 << 27, "128 MB"),
        (1536 << 20, "1.50 GB"),
        (1 << 60, "1 EB"),
    ],
)
def test_sizes_as_hdfs_writes_them(size: int, text: str) -> None:
    assert quotas.binary_size(size) == text
