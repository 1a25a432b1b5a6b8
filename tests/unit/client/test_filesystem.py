"""The verbs of Filesystem in direct mode, on small files."""

from __future__ import annotations

import itertools
import os
import pickle
import stat
import threading
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path

import pytest

import oastfs
from oastfs.client import Filesystem, batch, connect, listing
from oastfs.client.source import Direct
from oastfs.core.errors import (
    AlreadyExists,
    BadAcl,
    InvalidPath,
    IsADirectory,
    NoDatanodes,
    NotADirectory,
    NotEmpty,
    NotFound,
    PermissionDenied,
    XattrNotFound,
)
from oastfs.core.types import AclEntry, AclKind, AclScope, Caller, FileStatus, RenameMode

ALICE = Caller("alice", 1001, (1001,))


def test_it_is_at_the_top_of_the_package(metadata_url: str) -> None:
    assert oastfs.Filesystem is Filesystem
    with oastfs.connect(metadata=metadata_url) as fs:
        assert fs.stat("/").is_directory
        assert metadata_url in repr(fs)


def test_paths_are_cleaned(filesystem: Filesystem) -> None:
    filesystem.makedirs("/a/b/")
    filesystem.write_bytes("//a/./b//file", b"x")
    assert filesystem.read_bytes("/a/b/file") == b"x"
    assert filesystem.read_bytes(Path("/a/b/file")) == b"x"  # type: ignore[arg-type]  # declared as text, but taken
    for path in ("relative", "", "/a/../b", "/a\0b"):
        with pytest.raises(InvalidPath):
            filesystem.stat(path)


def test_the_tree(filesystem: Filesystem) -> None:
    fs = filesystem
    fs.mkdir("/one", 0o700)
    with pytest.raises(AlreadyExists):
        fs.mkdir("/one")
    with pytest.raises(NotFound):
        fs.mkdir("/no/parent")
    fs.makedirs("/one/two/three")
    fs.write_bytes("/one/file", b"data")
    assert (fs.isdir("/one"), fs.isfile("/one"), fs.exists("/one")) == (True, False, True)
    assert (fs.isdir("/one/file"), fs.isfile("/one/file"), fs.exists("/nothing")) == (False, True, False)
    assert not fs.exists("/one/file/below")
    fs.symlink("/link", "one/file")
    assert fs.readlink("/link") == "one/file"
    assert fs.stat("/link").is_file
    assert fs.stat("/link", follow=False).is_symlink
    fs.link("/one/file", "/hard")
    assert fs.stat("/hard").nlink == 2
    fs.rename("/one/file", "/one/two/moved")
    with pytest.raises(AlreadyExists):
        fs.rename("/hard", "/one/two/moved", RenameMode.NO_REPLACE)
    with pytest.raises(NotEmpty):
        fs.rmdir("/one")
    with pytest.raises(IsADirectory):
        fs.remove("/one")
    fs.remove("/hard")
    fs.rmdir("/one/two/three")
    fs.rmtree("/one")
    assert [entry.name for entry in fs.listdir("/")] == ["link"]


def test_attributes(filesystem: Filesystem) -> None:
    fs = filesystem
    fs.write_bytes("/file", b"12345", mode=0o640)
    assert stat.S_IMODE(fs.stat("/file").mode) == 0o640
    fs.chmod("/file", 0o600)
    fs.chown("/file", 12, 34)
    fs.utime("/file", (10, 20))
    found = fs.stat("/file")
    assert (stat.S_IMODE(found.mode), found.uid, found.gid) == (0o600, 12, 34)
    assert (found.atime_ns, found.mtime_ns, found.length) == (10, 20, 5)
    assert fs.utime("/file").mtime_ns > 20
    assert fs.set_replication("/file", 3).replication == 3
    fs.set_xattr("/file", "user.a", b"1")
    assert fs.get_xattrs("/file") == {"user.a": b"1"}
    assert fs.get_xattr("/file", "user.a") == b"1"
    fs.remove_xattr("/file", "user.a")
    with pytest.raises(XattrNotFound):
        fs.get_xattr("/file", "user.a")
    summary = fs.content_summary("/")
    assert (summary.length, summary.file_count) == (5, 1)
    assert fs.statfs().inodes >= 2


def test_the_caller_counts(filesystem: Filesystem, metadata_url: str) -> None:
    filesystem.write_bytes("/secret", b"x", mode=0o600)
    with connect(metadata_url, caller=ALICE) as alice:
        assert alice.caller == ALICE
        for attempt in (
            lambda: alice.read_bytes("/secret"),
            lambda: alice.open("/secret", "rb"),
            lambda: alice.open("/secret", "ab"),
            lambda: alice.open("/secret", "r+b"),
            lambda: alice.write_bytes("/mine", b""),
        ):
            with pytest.raises(PermissionDenied):
                attempt()


def test_listing_in_pages(filesystem: Filesystem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "FIRST_PAGE", 3)
    monkeypatch.setattr(listing, "PAGE", 4)
    names = [f"{number:03}" for number in range(50)]
    filesystem.write_many([(f"/dir/{name}", b"") for name in names], parents=True)
    assert [entry.name for entry in filesystem.listdir("/dir")] == names
    assert [entry.name for entry in filesystem.listdir("/dir", after="046")] == names[47:]
    monkeypatch.setattr(type(filesystem.session.source), "is_local", False)
    assert [entry.name for entry in filesystem.listdir("/dir")] == names


def test_listing_what_is_no_directory(filesystem: Filesystem) -> None:
    filesystem.write_bytes("/file", b"")
    with pytest.raises(NotADirectory):
        filesystem.listdir("/file")
    with pytest.raises(NotFound):
        filesystem.listdir("/nothing")
    assert [entry.name for entry in filesystem.listdir("/")] == ["file"]


def test_walk(filesystem: Filesystem, tmp_path: Path) -> None:
    local = tmp_path / "tree"
    for name in ("a/b/c", "a/d", "e"):
        (local / name).mkdir(parents=True)
        filesystem.makedirs(f"/tree/{name}")
    for name in ("top", "a/one", "a/b/two", "e/three"):
        (local / name).touch()
        filesystem.write_bytes(f"/tree/{name}", b"")
    expected = []
    for root, directories, files in os.walk(local):
        directories.sort()
        below = os.path.relpath(root, tmp_path)
        expected.append((f"/{below}", list(directories), sorted(files)))
    found = [
        (where, [one.name for one in directories], [one.name for one in others])
        for where, directories, others in filesystem.walk("/tree")
    ]
    assert found == expected


def test_walk_leaves_out_what_the_caller_takes_out(filesystem: Filesystem) -> None:
    filesystem.makedirs("/skip/below")
    filesystem.makedirs("/keep/below")
    seen = []
    for where, directories, _ in filesystem.walk("/"):
        seen.append(where)
        directories[:] = [one for one in directories if one.name != "skip"]
    assert seen == ["/", "/keep", "/keep/below"]


def test_whole_files(filesystem: Filesystem) -> None:
    assert filesystem.write_bytes("/a/b", b"one", parents=True).length == 3
    assert filesystem.write_bytes("/a/b", bytearray(b"two!")).length == 4
    assert filesystem.write_bytes("/a/c", memoryview(b"three")).length == 5
    with pytest.raises(AlreadyExists):
        filesystem.write_bytes("/a/b", b"", overwrite=False)
    with pytest.raises(NotFound):
        filesystem.write_bytes("/nowhere/x", b"")
    assert filesystem.read_bytes("/a/b") == b"two!"
    with pytest.raises(IsADirectory):
        filesystem.read_bytes("/a")


@pytest.fixture(params=[False, True], ids=["in turn", "ahead"])
def reads_ahead(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of contents are asked for when they are wanted, or before, as over the wire."""
    monkeypatch.setattr(Direct, "is_local", not request.param)


@pytest.mark.usefixtures("reads_ahead")
def test_many_files_in_batches(filesystem: Filesystem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "BATCH_PATHS", 7)
    monkeypatch.setattr(batch, "READ_PATHS", 7)
    filesystem.mkdir("/dir")
    items = [(f"/dir/{number}", bytes([number]) * number) for number in range(40)]
    items.insert(20, ("/missing/parent", b"x"))
    answers = filesystem.write_many(items)
    assert [type(one).__name__ for one in answers].count("NotFound") == 1
    assert isinstance(answers[20], NotFound)
    assert [one.length for one in answers if not isinstance(one, OSError)] == list(range(40))
    contents = list(filesystem.read_many(path for path, _ in items))
    assert isinstance(contents[20], NotFound)
    assert contents[20].filename == "/missing/parent"
    assert contents[:20] + contents[21:] == [data for path, data in items if path != "/missing/parent"]
    statuses = filesystem.stat_many([path for path, _ in items])
    assert isinstance(statuses[20], NotFound)
    found = statuses[5]
    assert isinstance(found, FileStatus) and found.length == 5


@pytest.mark.usefixtures("reads_ahead")
def test_read_many_goes_on_where_an_answer_was_cut_short(
    filesystem: Filesystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oastfs.namenode.ops.read_many.ANSWER_BYTES_MAX", 100)
    items = [(f"/{number:02}", bytes([number]) * 30) for number in range(30)]
    filesystem.write_many(items)
    assert list(filesystem.read_many([path for path, _ in items])) == [data for _, data in items]


@pytest.mark.usefixtures("reads_ahead")
def test_read_many_asks_little_ahead_of_who_reads(
    filesystem: Filesystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paths may come without an end; contents come in their order, however many calls it takes."""
    monkeypatch.setattr(batch, "READ_PATHS", 5)
    monkeypatch.setattr(batch, "BATCH_PATHS", 5)
    filesystem.write_many([(f"/{number:02}", bytes([number])) for number in range(50)])
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        for number in itertools.cycle(range(50)):
            taken += 1
            yield f"/{number:02}"

    contents = filesystem.read_many(endless())
    for count in range(1, 200):
        assert next(contents) == bytes([(count - 1) % 50])
        assert count <= taken <= count + 5 * (batch.READS_AHEAD + 1)


def test_ranges(filesystem: Filesystem) -> None:
    filesystem.write_bytes("/digits", b"0123456789")
    found = filesystem.read_ranges(
        [("/digits", 2, 3), ("/none", 0, 1), ("/digits", 8, 9), ("/digits", 20, 1)]
    )
    assert [found[0], found[2], found[3]] == [b"234", b"89", b""]
    assert isinstance(found[1], NotFound)


def test_large_content_needs_datanodes(filesystem: Filesystem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oastfs.client.blocks.writer.NO_DATANODES_SECONDS", 0.1)
    with pytest.raises(NoDatanodes, match="oastfs datanode"):
        filesystem.write_bytes("/large", bytes(100_000))
    [answer] = filesystem.write_many([("/larger", bytes(100_000))])
    assert isinstance(answer, NoDatanodes)


def test_copies(filesystem: Filesystem, tmp_path: Path) -> None:
    moved: list[int] = []
    local = tmp_path / "local"
    local.write_bytes(b"content")
    local.chmod(0o750)
    filesystem.put(local, "/put", moved.append)
    filesystem.copy("/put", "/copy", moved.append)
    filesystem.get("/copy", tmp_path / "got", moved.append)
    assert moved == [7, 7, 7]
    assert (tmp_path / "got").read_bytes() == b"content"
    for mode in (
        filesystem.stat("/put").mode,
        filesystem.stat("/copy").mode,
        (tmp_path / "got").stat().st_mode,
    ):
        assert stat.S_IMODE(mode) == 0o750
    with pytest.raises(NotFound):
        filesystem.get("/nothing", tmp_path / "nothing")
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["got", "local"]


def test_get_to_a_device(filesystem: Filesystem) -> None:
    filesystem.write_bytes("/file", b"content")
    filesystem.get("/file", "/dev/null")
    assert not Path("/dev/null").is_file()


def test_pickling(filesystem: Filesystem) -> None:
    filesystem.write_bytes("/file", b"content")
    with pickle.loads(pickle.dumps(filesystem)) as copy:
        assert copy.read_bytes("/file") == b"content"
        assert copy.caller == filesystem.caller


def _read_in_child(filesystem: Filesystem, path: str) -> bytes:
    with filesystem.open(path, "rb") as stream:
        filesystem.write_bytes(f"{path}-{os.getpid()}", b"")
        return bytes(stream.read())


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_worker_processes(filesystem: Filesystem, method: str) -> None:
    filesystem.write_bytes("/file", b"content")
    with get_context(method).Pool(2) as pool:
        found = pool.starmap(_read_in_child, [(filesystem, "/file")] * 4)
        pool.close()
        pool.join()
    assert found == [b"content"] * 4
    assert len(list(filesystem.listdir("/"))) >= 2
    assert filesystem.read_bytes("/file") == b"content"


def test_threads(filesystem: Filesystem) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for round_number in range(20):
                path = f"/{number}-{round_number}"
                filesystem.write_bytes(path, path.encode())
                with filesystem.open(path, "rb") as stream:
                    assert stream.read() == path.encode()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert sum(1 for _ in filesystem.listdir("/")) == 160


def test_acls(filesystem: Filesystem) -> None:
    fs = filesystem
    fs.write_bytes("/f", b"secret", mode=0o600)
    entry = AclEntry(AclScope.ACCESS, AclKind.USER, ALICE.uid, 4)
    assert fs.modify_acl("/f", [entry]).has_acl
    assert entry in fs.get_acl("/f").entries
    fs.metadata.access(ALICE, "/f", 4)
    fs.remove_acl("/f", [entry])
    with pytest.raises(PermissionDenied):
        fs.metadata.access(ALICE, "/f", 4)
    assert not fs.remove_acl("/f").has_acl
    with pytest.raises(BadAcl):
        fs.set_acl("/f", [entry])
    kinds = (AclKind.USER, AclKind.GROUP, AclKind.OTHER)
    assert fs.set_acl("/f", [AclEntry(AclScope.ACCESS, kind, -1, 4) for kind in kinds]).mode & 0o777 == 0o444


def test_a_long_hole_behind_inline_content(filesystem: Filesystem) -> None:
    """More zeros than an answer carries."""
    length = 20 << 20
    for path, data in (("/hole", b""), ("/start", b"start")):
        filesystem.write_bytes(path, data)
        with filesystem.open(path, "r+b") as file:
            file.truncate(length)
        expected = data.ljust(length, b"\0")
        assert filesystem.read_bytes(path) == expected
        assert list(filesystem.read_many([path])) == [expected]
        ranges = [(path, 0, 10), (path, length - 5, 10), (path, length, 5)]
        assert filesystem.read_ranges(ranges) == [expected[:10], expected[-5:], b""]
