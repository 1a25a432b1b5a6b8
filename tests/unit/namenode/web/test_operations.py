"""Every operation that a namenode answers itself, over HTTP against a real namenode."""

from __future__ import annotations

import json

import pytest

from oastfs.client.remote import RemoteMetadata
from oastfs.core.types import SUPERUSER
from tests.unit.namenode.web.conftest import Web

ROOT = SUPERUSER


def names(answer: dict[str, dict[str, list[dict[str, str]]]]) -> list[str]:
    return [one["pathSuffix"] for one in answer["FileStatuses"]["FileStatus"]]


@pytest.fixture(autouse=True)
def _files(remote: RemoteMetadata) -> None:
    """All tests have the same few files."""


def test_file_status(web: Web, remote: RemoteMetadata) -> None:
    status = web.ok("GET", "/d/small", "GETFILESTATUS")["FileStatus"]
    known = remote.stat(ROOT, "/d/small")
    assert (status["type"], status["length"], status["permission"]) == ("FILE", 7, "644")
    assert (status["owner"], status["pathSuffix"], status["fileId"]) == ("root", "", known.inode_id)
    assert (status["blockSize"], status["replication"]) == (known.block_size, known.replication)
    assert status["modificationTime"] == known.mtime_ns // 10**6
    directory = web.ok("GET", "/d", "GETFILESTATUS")["FileStatus"]
    assert (directory["type"], directory["length"], directory["replication"]) == ("DIRECTORY", 0, 0)
    status, exception, message = web.refused("GET", "/d/none", "GETFILESTATUS")
    assert (status, exception, message) == (404, "FileNotFoundException", "File does not exist: /d/none")


def test_listings(web: Web) -> None:
    assert names(web.ok("GET", "/d", "LISTSTATUS")) == ["small", "sub"]
    assert names(web.ok("GET", "/d/small", "LISTSTATUS")) == [""]
    assert names(web.ok("GET", "/d/sub", "liststatus")) == ["other"]
    assert web.refused("GET", "/none", "LISTSTATUS") == (
        404,
        "FileNotFoundException",
        "File /none does not exist.",
    )


def test_long_listings_come_whole_or_in_batches(web: Web, remote: RemoteMetadata) -> None:
    expected = [f"{number:05}" for number in range(2100)]
    remote.call_many("create", ROOT, [(f"/many/{n}", 0o644, False, True, "", 0, 0) for n in expected])
    assert names(web.ok("GET", "/many", "LISTSTATUS")) == expected
    found: list[str] = []
    left = 1
    while left:
        listing = web.ok("GET", "/many", "LISTSTATUS_BATCH", startAfter=found[-1] if found else "")
        page = names(listing["DirectoryListing"]["partialListing"])
        assert page
        found += page
        left = listing["DirectoryListing"]["remainingEntries"]
    assert found == expected


def test_summaries(web: Web) -> None:
    summary = web.ok("GET", "/d", "GETCONTENTSUMMARY")["ContentSummary"]
    assert (summary["length"], summary["fileCount"], summary["directoryCount"]) == (7, 2, 2)
    assert (summary["quota"], summary["spaceQuota"], summary["typeQuota"]) == (-1, -1, {})
    space = web.ok("GET", "/", "GETSTATUS")["FsStatus"]
    assert set(space) == {"capacity", "used", "remaining"}
    defaults = web.ok("GET", "/", "GETSERVERDEFAULTS")["FsServerDefaults"]
    assert (defaults["bytesPerChecksum"], defaults["encryptDataTransfer"]) == (512, False)


def test_places_of_a_user(web: Web) -> None:
    assert web.ok("GET", "/", "GETHOMEDIRECTORY", user="bob") == {"Path": "/user/bob"}
    assert web.ok("GET", "/x", "GETTRASHROOT", user="bob") == {"Path": "/user/bob/.Trash"}
    assert web.ok("GET", "/", "GETDELEGATIONTOKEN") == {"Token": None}


def test_blocks(web: Web) -> None:
    (place,) = web.ok("GET", "/d/small", "GETFILEBLOCKLOCATIONS")["BlockLocations"]["BlockLocation"]
    assert (place["offset"], place["length"], place["corrupt"]) == (0, 7, False)
    located = web.ok("GET", "/d/small", "GET_BLOCK_LOCATIONS", offset=0, length=7)["LocatedBlocks"]
    assert (located["fileLength"], located["isUnderConstruction"]) == (7, False)
    assert located["locatedBlocks"][0]["block"]["numBytes"] == 7
    assert web.refused("GET", "/d", "GETFILEBLOCKLOCATIONS")[:2] == (404, "FileNotFoundException")


def test_making_directories(web: Web, remote: RemoteMetadata) -> None:
    assert web.ok("PUT", "/new/a b/c+d%e;ü", "MKDIRS", permission="700") == {"boolean": True}
    assert remote.stat(ROOT, "/new/a b/c+d%e;ü").mode & 0o7777 == 0o700
    assert web.ok("PUT", "/plain", "MKDIRS") == {"boolean": True}
    assert remote.stat(ROOT, "/plain").mode & 0o7777 == 0o755
    assert web.refused("PUT", "/d/small/x", "MKDIRS")[:2] == (403, "ParentNotDirectoryException")
    status, exception, message = web.refused("PUT", "/denied", "MKDIRS", user="bob")
    assert (status, exception) == (403, "AccessControlException")
    assert message.startswith("Permission denied: user=bob, access=")


def test_renaming(web: Web, remote: RemoteMetadata) -> None:
    assert web.ok("PUT", "/d/small", "RENAME", destination="/d/large") == {"boolean": True}
    assert web.ok("PUT", "/d/none", "RENAME", destination="/d/x") == {"boolean": False}
    refused = web.refused("PUT", "/d/large", "RENAME", destination="/d/sub/other", renameoptions="NONE")
    assert refused[:2] == (403, "FileAlreadyExistsException")
    renamed = web.ok("PUT", "/d/large", "RENAME", destination="/d/sub/other", renameoptions="OVERWRITE")
    assert renamed is None and remote.stat(ROOT, "/d/sub/other").length == 7
    assert web.refused("PUT", "/d", "RENAME")[:2] == (400, "IllegalArgumentException")
    refused = web.refused("PUT", "/d", "RENAME", destination="/e", renameoptions="SOMEHOW")
    assert refused[:2] == (400, "IllegalArgumentException")


def test_removing(web: Web) -> None:
    assert web.refused("DELETE", "/d", "DELETE")[:2] == (403, "PathIsNotEmptyDirectoryException")
    assert web.ok("DELETE", "/d", "DELETE", recursive="true") == {"boolean": True}
    assert web.ok("DELETE", "/d", "DELETE", recursive="true") == {"boolean": False}


def test_attributes(web: Web, remote: RemoteMetadata) -> None:
    assert web.ok("PUT", "/d/small", "SETPERMISSION", permission="1640") is None
    assert web.ok("PUT", "/d/small", "SETOWNER", owner="bob", group="staff") is None
    assert web.ok("PUT", "/d/small", "SETTIMES", modificationtime=2000, accesstime=1000) is None
    assert web.ok("PUT", "/d/small", "SETREPLICATION", replication=5) == {"boolean": True}
    status = web.ok("GET", "/d/small", "GETFILESTATUS")["FileStatus"]
    assert (status["permission"], status["owner"], status["group"]) == ("1640", "bob", "staff")
    assert (status["modificationTime"], status["accessTime"], status["replication"]) == (2000, 1000, 5)
    assert web.ok("PUT", "/d/small", "SETTIMES", accesstime=5) is None
    assert remote.stat(ROOT, "/d/small").mtime_ns == 2000 * 10**6
    assert web.refused("PUT", "/d/small", "SETOWNER") == (
        400,
        "IllegalArgumentException",
        "Both owner and group are empty.",
    )


@pytest.mark.parametrize(
    ("value", "encoding", "shown"),
    [
        ('"text"', "text", '"text"'),
        ("plain", "base64", "0scGxhaW4="),
        ("0x00ff", "hex", "0x00ff"),
        ("0sAP8=", "hex", "0x00ff"),
    ],
)
def test_extended_attributes(web: Web, value: str, encoding: str, shown: str) -> None:
    web.ok("PUT", "/d/small", "SETXATTR", xattr__name="user.a", xattr__value=value, flag="CREATE")
    found = web.ok("GET", "/d/small", "GETXATTRS", xattr__name="user.a", encoding=encoding)
    assert found == {"XAttrs": [{"name": "user.a", "value": shown}]}


def test_sets_of_extended_attributes(web: Web) -> None:
    for name in ("user.a", "user.b", "trusted.c"):
        web.ok("PUT", "/d", "SETXATTR", xattr__name=name, xattr__value=name, flag="CREATE,REPLACE")
    found = web.ok("GET", "/d", "GETXATTRS", encoding="text")["XAttrs"]
    assert {one["name"]: one["value"] for one in found} == {
        "user.a": '"user.a"',
        "user.b": '"user.b"',
        "trusted.c": '"trusted.c"',
    }
    some = web.ok("GET", "/d", "GETXATTRS", xattr__name=["user.a", "user.b"], encoding="hex")["XAttrs"]
    assert {one["name"] for one in some} == {"user.a", "user.b"}
    listed = json.loads(web.ok("GET", "/d", "LISTXATTRS")["XAttrNames"])
    assert set(listed) == {"user.a", "user.b", "trusted.c"}
    assert web.ok("PUT", "/d", "REMOVEXATTR", xattr__name="user.a") is None
    assert "user.a" not in web.ok("GET", "/d", "LISTXATTRS")["XAttrNames"]
    assert web.refused("PUT", "/d", "REMOVEXATTR", xattr__name="user.a")[0] == 403
    assert web.refused("PUT", "/d", "REMOVEXATTR", xattr__name="color")[0] == 400
    assert web.refused("PUT", "/d", "SETXATTR", xattr__name="user.z", flag="NO")[0] == 400


def test_links(web: Web) -> None:
    assert web.ok("PUT", "/link", "CREATESYMLINK", destination="/d/small") is None
    assert web.ok("GET", "/link", "GETLINKTARGET") == {"Path": "/d/small"}
    status = web.ok("GET", "/link", "GETFILELINKSTATUS")["FileStatus"]
    assert (status["type"], status["symlink"]) == ("SYMLINK", "/d/small")
    assert web.ok("GET", "/link", "GETFILESTATUS")["FileStatus"]["type"] == "FILE"


def test_truncation(web: Web, remote: RemoteMetadata) -> None:
    assert web.ok("POST", "/d/small", "TRUNCATE", newlength=3) == {"boolean": True}
    assert remote.open(ROOT, "/d/small").data == b"con"
    assert web.refused("POST", "/d/small", "TRUNCATE")[0] == 400


def test_access(web: Web) -> None:
    assert web.ok("GET", "/d/small", "CHECKACCESS", fsaction="r--", user="bob") is None
    refused = web.refused("GET", "/d/small", "CHECKACCESS", fsaction="-w-", user="bob")
    assert refused[:2] == (403, "AccessControlException")
    assert web.refused("GET", "/d/small", "CHECKACCESS", fsaction="all")[0] == 400


@pytest.mark.parametrize(
    ("method", "op", "exception"),
    [
        ("PUT", "ALLOWSNAPSHOT", "UnsupportedOperationException"),
        ("PUT", "CREATESNAPSHOT", "SnapshotException"),
        ("DELETE", "DELETESNAPSHOT", "SnapshotException"),
        ("PUT", "RENAMESNAPSHOT", "SnapshotException"),
        ("PUT", "SETECPOLICY", "UnsupportedOperationException"),
        ("PUT", "RENEWDELEGATIONTOKEN", "InvalidToken"),
        ("GET", "GETSNAPSHOTLIST", "SnapshotException"),
    ],
)
def test_features_that_are_off(web: Web, method: str, op: str, exception: str) -> None:
    assert web.refused(method, "/d", op)[1] == exception


def test_questions_about_features_that_are_off(web: Web) -> None:
    assert web.ok("GET", "/", "GETSNAPSHOTTABLEDIRECTORYLIST") == {"SnapshottableDirectoryList": None}
    assert web.ok("GET", "/d", "GETECPOLICY") is None  # as JSON
    found = web.ok("GET", "/", "GETECPOLICIES")
    assert found == {"ErasureCodingPolicies": {"ErasureCodingPolicyInfo": []}}


@pytest.mark.parametrize(
    ("method", "op", "status", "exception"),
    [
        ("GET", "NOSUCHTHING", 400, "IllegalArgumentException"),
        ("GET", "MKDIRS", 400, "IllegalArgumentException"),
        ("GET", "", 400, "UnsupportedOperationException"),
        ("PATCH", "OPEN", 400, "UnsupportedOperationException"),
    ],
)
def test_what_is_no_operation(web: Web, method: str, op: str, status: int, exception: str) -> None:
    assert web.refused(method, "/d", op)[:2] == (status, exception)


@pytest.mark.parametrize(("method", "op"), [("GET", "OPEN"), ("PUT", "CREATE"), ("POST", "APPEND")])
def test_contents_need_a_datanode(web: Web, method: str, op: str) -> None:
    status, exception, message = web.refused(method, "/d/small", op)
    assert (status, exception) == (403, "IOException")
    assert "Failed to find datanode" in message


def test_who_is_not_named_is_nobody(web: Web) -> None:
    status, _, message = web.refused("PUT", "/x", "MKDIRS", user="")
    assert status == 403 and "user=dr.who" in message
    assert web.ok("PUT", "/x", "MKDIRS", user="bob", doas="root") == {"boolean": True}


def test_acls(web: Web) -> None:
    def entries(path: str) -> list[str]:
        found: list[str] = web.ok("GET", path, "GETACLSTATUS")["AclStatus"]["entries"]
        return found

    assert entries("/d/small") == []
    web.ok("PUT", "/d/small", "MODIFYACLENTRIES", aclspec="user:bob:rw-,group:staff:r--")
    assert entries("/d/small") == ["user:bob:rw-", "group::r--", "group:staff:r--"]
    status = web.ok("GET", "/d/small", "GETACLSTATUS")["AclStatus"]
    assert (status["owner"], status["stickyBit"], status["permission"]) == ("root", False, "664")
    assert web.ok("GET", "/d/small", "GETFILESTATUS")["FileStatus"]["aclBit"] is True
    web.ok("PUT", "/d/small", "REMOVEACLENTRIES", aclspec="group:staff:")
    assert entries("/d/small") == ["user:bob:rw-", "group::r--"]
    web.ok("PUT", "/d/small", "SETACL", aclspec="user::rw-,user:eve:r--,group::r--,other::---")
    assert entries("/d/small") == ["user:eve:r--", "group::r--"]
    web.ok("PUT", "/d/small", "REMOVEACL")
    assert entries("/d/small") == []
    web.ok("PUT", "/d", "MODIFYACLENTRIES", aclspec="default:user:bob:rwx")
    assert "default:user:bob:rwx" in entries("/d")
    web.ok("PUT", "/d", "REMOVEDEFAULTACL")
    assert entries("/d") == []
    assert web.refused("PUT", "/d", "SETACL", aclspec="nonsense")[:2] == (400, "IllegalArgumentException")
    assert web.refused("PUT", "/d", "SETACL")[:2] == (400, "IllegalArgumentException")
    assert web.refused("PUT", "/d", "SETACL", aclspec="user:bob:rwx", user="eve")[0] == 403


def test_quotas(web: Web) -> None:
    web.ok("PUT", "/d", "SETQUOTA", namespacequota=10, storagespacequota=1 << 40)
    usage = web.ok("GET", "/d", "GETQUOTAUSAGE")["QuotaUsage"]
    assert (usage["quota"], usage["spaceQuota"]) == (10, 1 << 40)
    assert usage["fileAndDirectoryCount"] == 4
    summary = web.ok("GET", "/d", "GETCONTENTSUMMARY")["ContentSummary"]
    assert (summary["quota"], summary["spaceQuota"]) == (10, 1 << 40)
    web.ok("PUT", "/d", "SETQUOTA", namespacequota=4)
    assert web.ok("GET", "/d", "GETQUOTAUSAGE")["QuotaUsage"]["spaceQuota"] == 1 << 40
    assert web.refused("PUT", "/d/more", "MKDIRS")[:2] == (403, "NSQuotaExceededException")
    web.ok("PUT", "/d", "SETQUOTA", namespacequota=-1, storagespacequota=-1)
    assert web.ok("PUT", "/d/more", "MKDIRS") == {"boolean": True}
    assert web.ok("GET", "/d", "GETQUOTAUSAGE")["QuotaUsage"]["quota"] == -1
    assert web.refused("PUT", "/d", "SETQUOTA", namespacequota=10, user="bob")[0] == 403


def test_storage_policies(web: Web) -> None:
    policies = web.ok("GET", "/", "GETALLSTORAGEPOLICY")["BlockStoragePolicies"]["BlockStoragePolicy"]
    hot = next(policy for policy in policies if policy["name"] == "HOT")
    assert (hot["id"], hot["storageTypes"], hot["replicationFallbacks"]) == (7, ["DISK"], ["ARCHIVE"])
    assert web.ok("GET", "/d", "GETSTORAGEPOLICY")["BlockStoragePolicy"] == hot
    web.ok("PUT", "/d", "SETSTORAGEPOLICY", storagepolicy="COLD")
    assert web.ok("GET", "/d/small", "GETSTORAGEPOLICY")["BlockStoragePolicy"]["name"] == "COLD"
    web.ok("POST", "/d", "UNSETSTORAGEPOLICY")
    assert web.ok("GET", "/d", "GETSTORAGEPOLICY")["BlockStoragePolicy"] == hot
    assert web.refused("PUT", "/d", "SETSTORAGEPOLICY", storagepolicy="TEPID")[0] == 400
