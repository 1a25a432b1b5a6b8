"""HDFS's calls on quotas, storage policies, safe mode and the trash: what they answer, and how they fail."""

from __future__ import annotations

from typing import Any

import pytest

from oastfs.core.errors import OastError
from oastfs.core.types import Caller
from oastfs.namenode import trash
from oastfs.namenode.hdfs.methods import METHODS
from oastfs.namenode.namespace import Namespace
from oastfs.wire.proto import client_namenode_pb2 as pb
from oastfs.wire.proto import hdfs_pb2 as types
from tests.harness.fleet import Fleet
from tests.unit.namenode.conftest import ALICE, ROOT
from tests.unit.namenode.hdfs.conftest import Hdfs

NONE = 2**64 - 1
UNCHANGED = 2**63 - 1


def refusal(hdfs: Hdfs, method: str, **fields: Any) -> tuple[str, str]:
    """(Java class without its package, first line of the message)."""
    with pytest.raises(OastError) as refused:
        hdfs.call(method, **fields)
    return refused.value.java_class.rpartition(".")[2], str(refused.value).partition("\n")[0]


def test_quotas_are_set_and_told(hdfs: Hdfs, namespace: Namespace) -> None:
    namespace.mkdirs(ROOT, "/q/a")
    hdfs.call("setQuota", path="/q", namespaceQuota=5, storagespaceQuota=UNCHANGED)
    hdfs.call("setQuota", path="/q", namespaceQuota=UNCHANGED, storagespaceQuota=1 << 20)
    hdfs.call(
        "setQuota", path="/q", namespaceQuota=UNCHANGED, storagespaceQuota=1 << 10, storageType=types.SSD
    )
    usage = hdfs.call("getQuotaUsage", path="/q").usage
    assert (usage.fileAndDirectoryCount, usage.quota, usage.spaceQuota) == (2, 5, 1 << 20)
    (info,) = usage.typeQuotaInfos.typeQuotaInfo
    assert (info.type, info.quota, info.consumed) == (types.SSD, 1 << 10, 0)
    summary = hdfs.call("getContentSummary", path="/q").summary
    assert (summary.quota, summary.spaceQuota, summary.directoryCount) == (5, 1 << 20, 2)
    assert summary.typeQuotaInfos == usage.typeQuotaInfos
    hdfs.call("setQuota", path="/q", namespaceQuota=NONE, storagespaceQuota=NONE)
    usage = hdfs.call("getQuotaUsage", path="/q").usage
    assert (usage.quota, usage.spaceQuota) == (NONE, NONE)


def test_the_root_always_has_a_quota_of_names(hdfs: Hdfs) -> None:
    assert hdfs.call("getQuotaUsage", path="/").usage.quota == UNCHANGED
    assert hdfs.call("getContentSummary", path="/").summary.quota == UNCHANGED


def test_a_block_that_does_not_fit_is_refused(hdfs: Hdfs, namespace: Namespace, fleet: Fleet) -> None:
    namespace.mkdirs(ROOT, "/q")
    hdfs.call("setQuota", path="/q", namespaceQuota=UNCHANGED, storagespaceQuota=8191)
    file_id = hdfs.create("/q/f")
    found = refusal(hdfs, "addBlock", src="/q/f", clientName="writer", fileId=file_id)
    assert found[0] == "DSQuotaExceededException"
    assert found[1].endswith("quota = 8191 B = 8.00 KB but diskspace consumed = 8192 B = 8 KB")


def test_how_quotas_are_refused(hdfs: Hdfs, namespace: Namespace) -> None:
    namespace.write_file(ROOT, "/f", b"")
    both = {"namespaceQuota": 1, "storagespaceQuota": UNCHANGED}
    expected = ("FileNotFoundException", "Directory does not exist: /none")
    assert refusal(hdfs, "setQuota", path="/none", **both) == expected
    expected = ("PathIsNotDirectoryException", "`/f': Is not a directory")
    assert refusal(hdfs, "setQuota", path="/f", **both) == expected
    expected = ("AccessControlException", "Access denied for user alice. Superuser privilege is required")
    assert refusal(hdfs, "setQuota", caller=ALICE, path="/", **both) == expected
    assert refusal(hdfs, "getQuotaUsage", path="/none")[0] == "FileNotFoundException"


def test_storage_policies(hdfs: Hdfs, namespace: Namespace) -> None:
    namespace.mkdirs(ROOT, "/d/e")
    suite = hdfs.call("getStoragePolicies").policies
    assert [one.policyId for one in suite] == [1, 2, 5, 7, 10, 12, 15]
    hdfs.call("setStoragePolicy", src="/d", policyName="warm")
    policy = hdfs.call("getStoragePolicy", path="/d/e").storagePolicy
    assert policy.name == "WARM" and list(policy.creationPolicy.storageTypes) == [types.DISK, types.ARCHIVE]
    assert hdfs.call("getFileInfo", src="/d/e").fs.storagePolicy == 5
    (entry,) = hdfs.call("getListing", src="/d", startAfter=b"", needLocation=False).dirList.partialListing
    assert entry.storagePolicy == 5
    assert hdfs.call("getFileInfo", src="/tmp").fs.storagePolicy == 0
    hdfs.call("unsetStoragePolicy", src="/d")
    assert hdfs.call("getStoragePolicy", path="/d/e").storagePolicy.name == "HOT"
    assert not hdfs.call("getFileInfo", src="/d/e").fs.HasField("storagePolicy")
    expected = ("FileNotFoundException", "File/Directory does not exist: /none")
    assert refusal(hdfs, "setStoragePolicy", src="/none", policyName="COLD") == expected
    assert refusal(hdfs, "getStoragePolicy", path="/none") == expected


def test_a_file_is_made_with_a_policy(hdfs: Hdfs) -> None:
    hdfs.create("/cold", storagePolicy="COLD")
    assert hdfs.call("getFileInfo", src="/cold").fs.storagePolicy == 2
    hdfs.create("/lazy", createFlag=1 | 16)
    assert hdfs.call("getFileInfo", src="/lazy").fs.storagePolicy == 15
    with pytest.raises(OastError, match="Cannot find a block policy with the name TEPID"):
        hdfs.create("/tepid", storagePolicy="TEPID")
    assert not hdfs.exists("/tepid")


def test_safe_mode(hdfs: Hdfs) -> None:
    def ask(action: pb.SafeModeAction.ValueType, caller: Caller = ROOT) -> bool:
        return bool(hdfs.call("setSafeMode", caller, action=action, checked=True).result)

    assert not ask(pb.SAFEMODE_GET, ALICE)
    assert ask(pb.SAFEMODE_ENTER) and ask(pb.SAFEMODE_GET, ALICE)
    expected = ("SafeModeException", "Cannot create directory /d. Name node is in safe mode.")
    permission = types.FsPermission(perm=0o755)
    assert refusal(hdfs, "mkdirs", src="/d", masked=permission, createParent=True) == expected
    with pytest.raises(OastError, match="Superuser privilege is required"):
        ask(pb.SAFEMODE_LEAVE, ALICE)
    assert not ask(pb.SAFEMODE_FORCE_EXIT)


@pytest.mark.parametrize("name", sorted(n for n, one in METHODS.items() if not one.reads))
def test_every_call_that_changes_something_is_held_up(hdfs: Hdfs, namespace: Namespace, name: str) -> None:
    from oastfs.namenode.hdfs import safe_mode

    namespace.safe_mode(ROOT, "enter")
    request = METHODS[name].request()
    if name in ("setSafeMode", "reportBadBlocks"):
        namespace.store.read(lambda tx: safe_mode.require_off(tx, name, request))
        return
    with pytest.raises(OastError, match=r"Name node is in safe mode\.") as refused:
        namespace.store.read(lambda tx: safe_mode.require_off(tx, name, request))
    assert refused.value.java_class == "org.apache.hadoop.hdfs.server.namenode.SafeModeException"


def test_clients_are_told_of_the_trash(hdfs: Hdfs, namespace: Namespace) -> None:
    assert hdfs.call("getServerDefaults").serverDefaults.trashInterval == 0
    namespace.store.write(lambda tx: trash.change(tx, 90, None))
    assert hdfs.call("getServerDefaults").serverDefaults.trashInterval == 90
