"""HDFS's calls on ACLs: names for numbers, what a status leaves out, and who may do what then."""

from __future__ import annotations

import pytest

from oastfs.core.errors import OastError
from oastfs.core.types import Caller
from oastfs.namenode.namespace import Namespace
from oastfs.wire.proto import hdfs_pb2 as types
from tests.unit.namenode.acls.texts import acl
from tests.unit.namenode.conftest import ALICE, EVE, ROOT
from tests.unit.namenode.hdfs.conftest import Hdfs

NOTHING = "Directory/File does not exist /none"
NOT_OWNER = "Permission denied. user=eve is not the owner of inode=/f"
REQUIRED = "Invalid ACL: the user, group and other entries are required. Path: /f"
NAMED = "Invalid ACL: this entry type must not have a name: mask:a:r--. Path: /f"
DIRECTORIES = "Invalid ACL: only directories may have a default ACL. Path: /f Path: /f"
BITS = {"r": 4, "w": 2, "x": 1}


def spec(*texts: str) -> list[types.AclEntry]:
    """Entries of texts such as ``user:alice:rwx`` or ``default:mask::r--``."""
    entries = []
    for text in texts:
        *scope, kind, name, letters = text.split(":")
        entry = types.AclEntry(
            scope=types.AclEntry.DEFAULT if scope else types.AclEntry.ACCESS,
            type=types.AclEntry.AclEntryType.Value(kind.upper()),
            permissions=types.AclEntry.FsAction.ValueType(sum(BITS.get(letter, 0) for letter in letters)),
        )
        if name:
            entry.name = name
        entries.append(entry)
    return entries


def shown(hdfs: Hdfs, path: str, caller: Caller = ROOT) -> list[str]:
    """The entries of a status, as ``spec`` takes them."""
    status = hdfs.call("getAclStatus", caller, src=path).result
    return [
        ("default:" if one.scope else "")
        + types.AclEntry.AclEntryType.Name(one.type).lower()
        + f":{one.name}:"
        + "".join(letter if one.permissions & bit else "-" for letter, bit in BITS.items())
        for one in status.entries
    ]


@pytest.fixture
def files(hdfs: Hdfs, namespace: Namespace) -> Hdfs:
    namespace.mkdirs(ROOT, "/d", 0o750)
    namespace.write_file(ROOT, "/d/f", b"content", 0o640)
    namespace.write_file(ROOT, "/f", b"content", 0o640)
    return hdfs


def test_entries_are_named_and_sorted_by_name(files: Hdfs) -> None:
    files.call("modifyAclEntries", src="/f", aclSpec=spec("user:zoe:r--", "user:amy:rw-", "group:b:r--"))
    assert shown(files, "/f") == ["user:amy:rw-", "user:zoe:r--", "group::r--", "group:b:r--"]
    status = files.call("getAclStatus", src="/f").result
    assert (status.owner, status.permission.perm, status.sticky) == ("root", 0o660, False)
    assert files.call("getFileInfo", src="/f").fs.flags & types.HdfsFileStatus.HAS_ACL


def test_a_plain_file_has_no_entries(files: Hdfs) -> None:
    assert shown(files, "/f") == []
    assert not files.call("getFileInfo", src="/f").fs.flags & types.HdfsFileStatus.HAS_ACL


def test_the_namespace_has_the_same_entries(files: Hdfs, namespace: Namespace) -> None:
    ((uid,), _) = namespace.principal_ids(ROOT, ["amy"], [])
    files.call("modifyAclEntries", src="/f", aclSpec=spec("user:amy:r--"))
    assert set(acl(f"user:{uid}:r--")) < set(namespace.get_acl(ROOT, "/f").entries)
    namespace.access(Caller("amy", uid, (uid,)), "/f", 4)


def test_removing_and_replacing(files: Hdfs) -> None:
    files.call("setAcl", src="/d", aclSpec=spec("user::rwx", "user:amy:rwx", "group::r-x", "other::---"))
    files.call("modifyAclEntries", src="/d", aclSpec=spec("default:user:bob:rwx"))
    assert shown(files, "/d") == [
        "user:amy:rwx",
        "group::r-x",
        "default:user::rwx",
        "default:user:bob:rwx",
        "default:group::r-x",
        "default:mask::rwx",
        "default:other::---",
    ]
    files.call("removeAclEntries", src="/d", aclSpec=spec("user:amy:"))
    assert shown(files, "/d")[0] == "group::r-x"
    files.call("removeDefaultAcl", src="/d")
    assert shown(files, "/d") == ["group::r-x"]
    files.call("removeAcl", src="/d")
    assert shown(files, "/d") == []
    files.call("modifyAclEntries", src="/d", aclSpec=spec("user:amy:rwx"))
    files.call("setAcl", src="/d", aclSpec=[])
    assert shown(files, "/d") == []


def test_umask_does_not_count_under_a_default(files: Hdfs) -> None:
    files.call("modifyAclEntries", src="/d", aclSpec=spec("default:user:amy:rwx"))
    unmasked = types.FsPermission(perm=0o666)
    files.create("/d/new", masked=types.FsPermission(perm=0o600), unmasked=unmasked)
    assert files.call("getFileInfo", src="/d/new").fs.permission.perm == 0o660
    files.create("/d/old", masked=types.FsPermission(perm=0o600))
    assert files.call("getFileInfo", src="/d/old").fs.permission.perm == 0o600
    full, few = types.FsPermission(perm=0o777), types.FsPermission(perm=0o700)
    files.call("mkdirs", src="/d/e", masked=few, unmasked=full, createParent=True)
    assert files.call("getFileInfo", src="/d/e").fs.permission.perm == 0o770
    files.call("mkdirs", src="/e", masked=few, unmasked=full, createParent=True)
    assert files.call("getFileInfo", src="/e").fs.permission.perm == 0o700


def test_what_a_create_makes_above_is_as_what_is_there(files: Hdfs) -> None:
    files.create("/d/x/y/f")
    assert files.call("getFileInfo", src="/d/x/y").fs.permission.perm == 0o750


@pytest.mark.parametrize(
    ("method", "caller", "path", "entries", "error_class", "message"),
    [
        ("modifyAclEntries", ROOT, "/none", "user:a:r--", "FileNotFoundException", NOTHING),
        ("getAclStatus", ROOT, "/none", None, "FileNotFoundException", "cannot find /none"),
        ("removeAcl", ROOT, "/none", None, "FileNotFoundException", NOTHING),
        ("setAcl", EVE, "/f", "user:a:r--", "AccessControlException", NOT_OWNER),
        ("setAcl", ROOT, "/f", "user:a:r--", "AclException", REQUIRED),
        ("modifyAclEntries", ROOT, "/f", "mask:a:r--", "AclException", NAMED),
        ("modifyAclEntries", ROOT, "/f", "default:user:a:r--", "AclException", DIRECTORIES),
    ],
)
def test_refusals(
    files: Hdfs, method: str, caller: Caller, path: str, entries: str | None, error_class: str, message: str
) -> None:
    more = {} if entries is None else {"aclSpec": spec(entries)}
    with pytest.raises(OastError) as caught:
        files.call(method, caller, src=path, **more)
    assert caught.value.java_class.endswith("." + error_class)
    assert caught.value.message == message


def test_other_faces_attributes_are_not_shown(files: Hdfs, namespace: Namespace) -> None:
    namespace.chown(ROOT, "/f", ALICE.uid)
    files.call("modifyAclEntries", src="/f", aclSpec=spec("user:amy:r--"))
    assert list(namespace.get_xattrs(ALICE, "/f")) == ["system.posix_acl_access"]
    assert not files.call("listXAttrs", ALICE, src="/f").xAttrs
    attribute = types.XAttr(namespace=types.XAttr.SYSTEM, name="posix_acl_access")
    for method, fields in (("getXAttrs", {"xAttrs": [attribute]}), ("removeXAttr", {"xAttr": attribute})):
        with pytest.raises(OastError, match="User doesn't have permission for xattr: system"):
            files.call(method, ROOT, src="/f", **fields)
