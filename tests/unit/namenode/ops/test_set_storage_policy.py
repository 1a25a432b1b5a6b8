"""Storage policies: inherited, counted, and followed where replicas are placed."""

from __future__ import annotations

import pytest

from oastfs.core.errors import InvalidArgument, NotFound, PermissionDenied
from oastfs.core.storage_policies import BY_NAME
from oastfs.core.types import TypeQuota
from oastfs.namenode.jobs.replication import Replication
from oastfs.namenode.namespace import Namespace
from tests.harness.fleet import Fleet
from tests.unit.namenode.conftest import ALICE, ROOT, Clock
from tests.unit.namenode.ops.test_truncate import write

HDFS_IDS = {"PROVIDED": 1, "COLD": 2, "WARM": 5, "HOT": 7, "ONE_SSD": 10, "ALL_SSD": 12, "LAZY_PERSIST": 15}


@pytest.fixture
def mixed(namespace: Namespace, clock: Clock) -> Fleet:
    """Two datanodes with disks, two with SSDs, one with an archive."""
    fleet = Fleet(namespace)
    for kind in ("DISK", "DISK", "SSD", "SSD", "ARCHIVE"):
        node = fleet.add()
        node.storage_type = kind
        node.register()
    return fleet


def types_of_new_block(namespace: Namespace, path: str, replication: int) -> list[str]:
    namespace.create(ROOT, path, holder="w", replication=replication)
    block = namespace.add_block(ROOT, path, "w", 0)
    return [one.storage_type for one in block.locations]


def test_the_suite_is_that_of_hdfs(namespace: Namespace) -> None:
    assert {one.name: one.policy_id for one in namespace.list_storage_policies(ROOT)} == HDFS_IDS
    assert str(BY_NAME["ONE_SSD"]) == (
        "BlockStoragePolicy{ONE_SSD:10, storageTypes=[SSD, DISK], "
        "creationFallbacks=[SSD, DISK], replicationFallbacks=[SSD, DISK]}"
    )
    assert BY_NAME["ONE_SSD"].types_of(3) == ["SSD", "DISK", "DISK"]
    assert BY_NAME["ONE_SSD"].types_of(3, ["DISK", "ARCHIVE"]) == ["SSD", "DISK"]
    assert BY_NAME["WARM"].types_of(1) == ["DISK"]


def test_the_nearest_one_above_holds(namespace: Namespace) -> None:
    namespace.mkdirs(ROOT, "/d/e")
    namespace.write_file(ROOT, "/d/e/f", b"")
    found = namespace.get_storage_policy(ROOT, "/d/e/f")
    assert found.name == "HOT" and not found.explicit
    namespace.set_storage_policy(ROOT, "/", "WARM")
    namespace.set_storage_policy(ROOT, "/d", "all_ssd")
    for path, name in (("/tmp", "WARM"), ("/", "WARM"), ("/d/e", "ALL_SSD"), ("/d/e/f", "ALL_SSD")):
        assert namespace.get_storage_policy(ROOT, path).name == name
    namespace.set_storage_policy(ROOT, "/d/e/f", "COLD")
    namespace.rename(ROOT, "/d/e/f", "/f")
    assert namespace.get_storage_policy(ROOT, "/f").name == "COLD"
    namespace.set_storage_policy(ROOT, "/d", "")
    assert namespace.get_storage_policy(ROOT, "/d/e").name == "WARM"


def test_what_cannot_be_set(namespace: Namespace) -> None:
    namespace.write_file(ROOT, "/f", b"")
    with pytest.raises(InvalidArgument, match="Cannot find a block policy with the name TEPID"):
        namespace.set_storage_policy(ROOT, "/f", "TEPID")
    with pytest.raises(InvalidArgument, match=r"LAZY_PERSIST:15.* cannot be set after file creation"):
        namespace.set_storage_policy(ROOT, "/f", "LAZY_PERSIST")
    with pytest.raises(NotFound):
        namespace.set_storage_policy(ROOT, "/nowhere", "COLD")
    with pytest.raises(PermissionDenied):
        namespace.set_storage_policy(ALICE, "/f", "COLD")


@pytest.mark.parametrize(
    ("policy", "replication", "expected"),
    [
        ("", 2, ["DISK", "DISK"]),
        ("HOT", 2, ["DISK", "DISK"]),
        ("ALL_SSD", 2, ["SSD", "SSD"]),
        ("ALL_SSD", 3, ["SSD", "SSD", "DISK"]),
        ("ONE_SSD", 3, ["SSD", "DISK", "DISK"]),
        ("WARM", 2, ["DISK", "ARCHIVE"]),
        ("COLD", 1, ["ARCHIVE"]),
        ("LAZY_PERSIST", 2, ["DISK", "DISK"]),
    ],
)
def test_blocks_go_where_the_policy_says(
    namespace: Namespace, mixed: Fleet, policy: str, replication: int, expected: list[str]
) -> None:
    namespace.mkdirs(ROOT, "/d")
    namespace.set_storage_policy(ROOT, "/d", policy)
    assert types_of_new_block(namespace, "/d/f", replication) == expected


def test_any_storage_is_better_than_none(namespace: Namespace, mixed: Fleet) -> None:
    namespace.mkdirs(ROOT, "/d")
    namespace.set_storage_policy(ROOT, "/d", "COLD")
    found = types_of_new_block(namespace, "/d/f", 5)
    assert found[0] == "ARCHIVE" and sorted(found[1:]) == ["DISK", "DISK", "SSD", "SSD"]


def test_replicas_are_made_up_by_the_policy(namespace: Namespace, mixed: Fleet, clock: Clock) -> None:
    namespace.mkdirs(ROOT, "/d")
    namespace.set_storage_policy(ROOT, "/d", "ALL_SSD")
    write(namespace, mixed, "/d/f", [100])
    namespace.set_replication(ROOT, "/d/f", 1)
    Replication(namespace).run_all(clock())
    mixed.carry_out_all()
    namespace.set_replication(ROOT, "/d/f", 2)
    Replication(namespace).run_all(clock())
    mixed.carry_out_all()
    (block,) = namespace.open(ROOT, "/d/f").blocks
    assert [one.storage_type for one in block.locations] == ["SSD", "SSD"]


def test_space_is_counted_by_storage_type(namespace: Namespace, mixed: Fleet) -> None:
    namespace.mkdirs(ROOT, "/d/e")
    namespace.set_storage_policy(ROOT, "/d", "ONE_SSD")
    write(namespace, mixed, "/d/e/f", [100])
    namespace.set_quota(ROOT, "/d", -1, 1 << 30, "SSD")
    namespace.set_quota(ROOT, "/d", -1, 1 << 20, "DISK")
    expected = (TypeQuota("DISK", 1 << 20, 100), TypeQuota("SSD", 1 << 30, 100))
    assert namespace.quota_usage(ROOT, "/d").type_quotas == expected
    assert namespace.content_summary(ROOT, "/d").type_quotas == expected
