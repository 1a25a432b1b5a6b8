from __future__ import annotations

import contextlib
from typing import Any

import pytest

from oastfs.core.errors import OastError
from oastfs.namenode.namespace import Namespace
from oastfs.wire.proto import hdfs_pb2 as types
from tests.unit.namenode.conftest import ALICE, BOB, ROOT, names
from tests.unit.namenode.hdfs.conftest import Hdfs
from tests.unit.namenode.hdfs.test_writing import java_class


@pytest.fixture(autouse=True)
def tree(namespace: Namespace) -> None:
    namespace.mkdirs(ROOT, "/d/sub")
    namespace.mkdirs(ROOT, "/e")
    for path in ("/f", "/g", "/d/f"):
        namespace.write_file(ROOT, path, path.encode())


@pytest.mark.parametrize(
    ("source", "target", "moved_to"),
    [
        ("/f", "/new", "/new"),
        ("/f", "/d/sub", "/d/sub/f"),
        ("/d", "/e", "/e/d"),
        ("/f", "/g", None),
        ("/f", "/d", None),
        ("/f", "/none/x", None),
        ("/none", "/x", None),
        ("/d", "/d/sub/x", None),
        ("/d", "/d/sub", None),
        ("/", "/x", None),
        ("/d", "/d", None),
        ("/f", "/f", "/f"),
    ],
)
def test_rename(hdfs: Hdfs, source: str, target: str, moved_to: str | None) -> None:
    assert hdfs.call("rename", src=source, dst=target).result == (moved_to is not None)
    if moved_to:
        assert hdfs.exists(moved_to) and (moved_to == source or not hdfs.exists(source))


@pytest.mark.parametrize(
    ("source", "target", "error_class"),
    [("/f", "/g/x", "ParentNotDirectoryException"), ("/g/x", "/y", "AccessControlException")],
)
def test_rename_through_a_file(hdfs: Hdfs, source: str, target: str, error_class: str) -> None:
    with pytest.raises(OastError, match=r"/g \(is not a directory\)") as error:
        hdfs.call("rename", src=source, dst=target)
    assert java_class(error) == error_class


@pytest.mark.parametrize("sources", [["/none"], ["/d/f"], ["/f"], ["/d"], ["/g", "/g"]])
def test_concat_refuses(hdfs: Hdfs, sources: list[str]) -> None:
    with pytest.raises(OastError):
        hdfs.call("concat", trg="/f", srcs=sources)
    assert hdfs.exists("/f") and hdfs.exists("/g")


@pytest.mark.parametrize(
    ("source", "target", "overwrite", "error_class"),
    [
        ("/f", "/new", False, ""),
        ("/f", "/g", True, ""),
        ("/e", "/d/sub", True, ""),
        ("/f", "/g", False, "FileAlreadyExistsException"),
        ("/f", "/f", True, "FileAlreadyExistsException"),
        ("/none", "/x", False, "FileNotFoundException"),
        ("/f", "/none/x", False, "FileNotFoundException"),
        ("/f", "/g/x", False, "ParentNotDirectoryException"),
        ("/e", "/d", True, "IOException"),
        ("/f", "/e", True, "IOException"),
        ("/d", "/g", True, "IOException"),
        ("/d", "/d/x", False, "IOException"),
        ("/", "/x", False, "IOException"),
        ("/f", "/", False, "IOException"),
    ],
)
def test_rename2(hdfs: Hdfs, source: str, target: str, overwrite: bool, error_class: str) -> None:
    if error_class:
        with pytest.raises(OastError) as error:
            hdfs.call("rename2", src=source, dst=target, overwriteDest=overwrite)
        assert java_class(error) == error_class
    else:
        hdfs.call("rename2", src=source, dst=target, overwriteDest=overwrite)
        assert hdfs.exists(target) and not hdfs.exists(source)


@pytest.mark.parametrize("method", ["rename", "rename2"])
def test_what_a_link_leads_to_is_below_the_link(hdfs: Hdfs, namespace: Namespace, method: str) -> None:
    """As its path is: HDFS looks at paths before it follows links."""
    namespace.symlink(ROOT, "/link", "/d")
    fields: dict[str, Any] = {} if method == "rename" else {"overwriteDest": False}
    with pytest.raises(OastError) if fields else contextlib.nullcontext():
        assert not hdfs.call(method, src="/link", dst="/link/inside", **fields).result
    assert namespace.readlink(ROOT, "/link") == "/d" and not hdfs.exists("/d/inside")


def test_delete(hdfs: Hdfs, namespace: Namespace) -> None:
    assert not hdfs.call("delete", src="/none", recursive=True).result
    assert not hdfs.call("delete", src="/", recursive=True).result
    with pytest.raises(OastError) as error:
        hdfs.call("delete", src="/d", recursive=False)
    assert java_class(error) == "PathIsNotEmptyDirectoryException"
    assert hdfs.call("delete", src="/d", recursive=True).result
    assert names(namespace, "/") == ["e", "f", "g", "home", "tmp"]


def test_mkdirs(hdfs: Hdfs, namespace: Namespace) -> None:
    mode = types.FsPermission(perm=0o750)
    assert hdfs.call("mkdirs", src="/m/n", masked=mode, createParent=True).result
    assert namespace.stat(ROOT, "/m/n").mode & 0o7777 == 0o750
    assert hdfs.call("mkdirs", src="/m/n", masked=mode, createParent=True).result
    for path, parents, error_class in (
        ("/f", True, "FileAlreadyExistsException"),
        ("/f/x", True, "ParentNotDirectoryException"),
        ("/none/x", False, "FileNotFoundException"),
    ):
        with pytest.raises(OastError) as error:
            hdfs.call("mkdirs", src=path, masked=mode, createParent=parents)
        assert java_class(error) == error_class


def test_listings(hdfs: Hdfs, namespace: Namespace) -> None:
    listing = hdfs.call("getListing", src="/d", startAfter=b"", needLocation=True).dirList
    assert [(entry.path, entry.fileType) for entry in listing.partialListing] == [(b"f", 2), (b"sub", 1)]
    assert listing.partialListing[0].locations.fileLength == 4
    of_file = hdfs.call("getListing", src="/f", startAfter=b"", needLocation=False).dirList
    assert [entry.path for entry in of_file.partialListing] == [b""]
    assert not hdfs.call("getListing", src="/none", startAfter=b"", needLocation=False).HasField("dirList")
    namespace.write_file(ROOT, "/many/last", b"", parents=True)
    for number in range(1000):
        namespace.write_file(ROOT, f"/many/{number:04}", b"")
    first = hdfs.call("getListing", src="/many", startAfter=b"", needLocation=False).dirList
    assert len(first.partialListing) == 1000 and first.remainingEntries
    after = first.partialListing[-1].path
    rest = hdfs.call("getListing", src="/many", startAfter=after, needLocation=False).dirList
    assert [entry.path for entry in rest.partialListing] == [b"last"] and not rest.remainingEntries


def test_batched_listings(hdfs: Hdfs, namespace: Namespace) -> None:
    for number in range(1500):
        namespace.write_file(ROOT, f"/many/{number:04}", b"", parents=True)
    paths = ["/d", "/none", "/many", "/e"]
    found: dict[int, list[bytes]] = {}
    faults = {}
    after, pages = b"", 0
    while True:
        page = hdfs.call("getBatchedListing", paths=paths, startAfter=after, needLocation=False)
        pages += 1
        for one in page.listings:
            found.setdefault(one.parentIdx, []).extend(entry.path for entry in one.partialListing)
            if one.HasField("exception"):
                faults[one.parentIdx] = one.exception.className
        if not page.hasMore:
            break
        after = page.startAfter
    assert pages == 2 and found[0] == [b"f", b"sub"] and found[3] == []
    assert len(set(found[2])) == 1500
    assert faults == {1: "java.io.FileNotFoundException"}


def test_links_are_followed(hdfs: Hdfs, namespace: Namespace) -> None:
    hdfs.call(
        "createSymlink", target="/d", link="/link", dirPerm=types.FsPermission(perm=0o755), createParent=False
    )
    assert hdfs.call("getFileInfo", src="/link/f").fs.length == 4
    assert hdfs.call("getFileInfo", src="/link").fs.fileType == types.HdfsFileStatus.IS_DIR
    link = hdfs.call("getFileLinkInfo", src="/link").fs
    assert link.fileType == types.HdfsFileStatus.IS_SYMLINK and link.symlink == b"/d"
    assert hdfs.call("getLinkTarget", path="/link").targetPath == "/d"
    with pytest.raises(OastError):
        hdfs.call("getLinkTarget", path="/d")


@pytest.mark.parametrize("located", [False, True])
def test_listings_show_what_links_to_files_lead_to(hdfs: Hdfs, namespace: Namespace, located: bool) -> None:
    namespace.mkdirs(ROOT, "/links", 0o755)
    for name, target in {"to-dir": "/d", "to-file": "/d/f", "to-none": "/none", "to-self": "to-self"}.items():
        namespace.symlink(ROOT, f"/links/{name}", target)
    listing = hdfs.call("getListing", src="/links", startAfter=b"", needLocation=located).dirList
    kinds = {one.path.decode(): (one.fileType, one.length) for one in listing.partialListing}
    link = (types.HdfsFileStatus.IS_SYMLINK, 0)
    file = (types.HdfsFileStatus.IS_FILE, 4)
    assert kinds == {"to-dir": link, "to-file": file, "to-none": link, "to-self": link}


def test_owner_and_times(hdfs: Hdfs, namespace: Namespace) -> None:
    hdfs.call("setOwner", src="/f", username="somebody", groupname="somegroup")
    found = hdfs.call("getFileInfo", src="/f").fs
    assert (found.owner, found.group) == ("somebody", "somegroup")
    hdfs.call("setTimes", src="/f", mtime=5000, atime=2**64 - 1)
    changed = hdfs.call("getFileInfo", src="/f").fs
    assert changed.modification_time == 5000 and changed.access_time == found.access_time
    hdfs.call("setPermission", src="/f", permission=types.FsPermission(perm=0o1640))
    assert hdfs.call("getFileInfo", src="/f").fs.permission.perm == 0o1640
    for caller, fields in ((BOB, {"username": "bob"}), (ALICE, {"groupname": "somegroup"})):
        with pytest.raises(OastError) as error:
            hdfs.call("setOwner", caller, src="/f", **fields)
        assert java_class(error) == "AccessControlException"


def test_attributes(hdfs: Hdfs) -> None:
    attribute = types.XAttr(namespace=types.XAttr.USER, name="color", value=b"green")
    hdfs.call("setXAttr", src="/f", xAttr=attribute, flag=1)
    with pytest.raises(OastError, match="REPLACE flag must be specified"):
        hdfs.call("setXAttr", src="/f", xAttr=attribute, flag=1)
    assert list(hdfs.call("getXAttrs", src="/f", xAttrs=[attribute]).xAttrs) == [attribute]
    assert [one.name for one in hdfs.call("listXAttrs", src="/f").xAttrs] == ["color"]
    hdfs.call("removeXAttr", src="/f", xAttr=attribute)
    with pytest.raises(OastError, match="No matching attributes"):
        hdfs.call("removeXAttr", src="/f", xAttr=attribute)


def test_missing_paths(hdfs: Hdfs) -> None:
    assert not hdfs.exists("/none")
    for method, fields in (
        ("getBlockLocations", {"offset": 0, "length": 1}),
        ("setPermission", {"permission": types.FsPermission(perm=0o644)}),
        ("setOwner", {"username": "x"}),
        ("setTimes", {"mtime": 1, "atime": 1}),
        ("append", {"clientName": "x"}),
        ("truncate", {"newLength": 0, "clientName": "x"}),
        ("recoverLease", {"clientName": "x"}),
        ("isFileClosed", {}),
    ):
        with pytest.raises(OastError) as error:
            hdfs.call(method, src="/none", **fields)
        assert java_class(error) == "FileNotFoundException", method
    assert not hdfs.call("setReplication", src="/none", replication=1).result


def test_a_listing_shows_what_each_status_shows(hdfs: Hdfs, namespace: Namespace) -> None:
    namespace.write_file(ROOT, "/all/" + "n" * 200, b"x" * 300, 0o600, parents=True)
    namespace.create(ROOT, "/all/open", 0o1755, holder="w", replication=3, block_size=1 << 20)
    namespace.write_file(ALICE, "/home/alice/of-alice", b"")
    namespace.rename(ROOT, "/home/alice/of-alice", "/all/of-alice")
    namespace.utimes(ROOT, "/all/of-alice", 5 * 10**9, 7 * 10**9)
    namespace.write_file(ROOT, "/all/\N{GREEK SMALL LETTER ALPHA}", b"")
    namespace.utimes(ROOT, "/all/\N{GREEK SMALL LETTER ALPHA}", 0, -(10**9))
    namespace.mkdirs(ROOT, "/all/directory", 0o1777)
    namespace.symlink(ROOT, "/all/link", "/nowhere")
    namespace.mknod(ROOT, "/all/fifo", 0o010644)
    namespace.link(ROOT, "/all/of-alice", "/all/second-name")
    listing = hdfs.call("getListing", src="/all", startAfter=b"", needLocation=False).dirList
    assert len(listing.partialListing) == 8
    for entry in listing.partialListing:
        alone = hdfs.call("getFileLinkInfo", src="/all/" + entry.path.decode()).fs
        alone.path = entry.path
        assert alone == entry
