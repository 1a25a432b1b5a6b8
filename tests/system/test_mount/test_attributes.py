"""Attributes through the mount: modes, owners, times, extended attributes, statfs; and what others may do."""

from __future__ import annotations

import errno
import os
import stat
import struct
import subprocess
import time
import traceback
from pathlib import Path

import pytest

ALICE, BOB = 12_345, 12_346
SHARED_GROUP = 23_456
SECOND_NS = 10**9


def refused(code: int) -> pytest.RaisesExc[OSError]:
    """The block raises OSError with this errno."""
    return pytest.raises(OSError, check=lambda error: error.errno == code)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def run_as(uid: int, code: str, path: Path, groups: tuple[int, ...] = ()) -> None:
    """Run Python code as another user, with ``path`` as its name from the directory above.

    In a forked child, for the interpreter's own files and the directories above may be closed to that user.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        failure = ""
        try:
            os.chdir(path.parent)
            os.setgroups(groups)
            os.setgid(uid)
            os.setuid(uid)
            exec(code, {"os": os, "errno": errno, "stat": stat, "path": path.name})
        except BaseException:
            failure = traceback.format_exc()
        os.write(writer, failure.encode()[-4000:])
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader, "rb") as output:
        failure = output.read().decode()
    assert not failure, failure


EXPECT = """
def refused(code, call, *arguments):
    try:
        call(*arguments)
    except OSError as error:
        assert error.errno == code, error
    else:
        raise AssertionError(f"{call} was allowed")
"""


def test_modes_and_umask(directory: Path) -> None:
    before = os.umask(0o027)
    try:
        os.close(os.open(directory / "file", os.O_CREAT | os.O_WRONLY, 0o666))
        (directory / "dir").mkdir(0o777)
        os.mkfifo(directory / "fifo", 0o666)
    finally:
        os.umask(before)
    assert mode_of(directory / "file") == 0o640
    assert mode_of(directory / "dir") == 0o750
    assert mode_of(directory / "fifo") == 0o640
    changed = (directory / "file").stat().st_ctime_ns
    (directory / "file").chmod(0o4711)
    assert mode_of(directory / "file") == 0o4711
    assert (directory / "file").stat().st_ctime_ns > changed


def test_chmod_of_an_open_file_is_kept(directory: Path) -> None:
    with (directory / "file").open("wb", buffering=0) as file:
        file.write(b"x")
        os.fchmod(file.fileno(), 0o600)
        file.write(b"y")
        assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == 0o600
    assert mode_of(directory / "file") == 0o600


def test_owners(directory: Path) -> None:
    path = directory / "file"
    path.write_bytes(b"")
    os.chown(path, ALICE, BOB)
    assert (path.stat().st_uid, path.stat().st_gid) == (ALICE, BOB)
    os.chown(path, -1, SHARED_GROUP)
    assert (path.stat().st_uid, path.stat().st_gid) == (ALICE, SHARED_GROUP)
    (directory / "link").symlink_to("file")
    os.lchown(directory / "link", BOB, BOB)
    assert (directory / "link").lstat().st_uid == BOB
    assert path.stat().st_uid == ALICE


def test_times(directory: Path) -> None:
    path = directory / "file"
    path.write_bytes(b"x")
    for times in ((1, 2), (1_500_000_000_123_456_789, 1_600_000_000_987_654_321), (-(10**9), 0)):
        os.utime(path, ns=times)
        assert (path.stat().st_atime_ns, path.stat().st_mtime_ns) == times
    os.utime(path)
    assert abs(path.stat().st_mtime_ns - time.time_ns()) < 60 * SECOND_NS
    (directory / "link").symlink_to("file")
    os.utime(directory / "link", ns=(5, 6), follow_symlinks=False)
    assert (directory / "link").lstat().st_mtime_ns == 6
    os.utime(directory, ns=(7, 8))
    assert directory.stat().st_mtime_ns == 8


@pytest.mark.parametrize("size", [100, 300_000])
def test_times_set_before_closing_stay(directory: Path, size: int) -> None:
    """What cp -p, tar and rsync do."""
    with (directory / "file").open("wb", buffering=0) as file:
        file.write(b"x" * size)
        os.utime(file.fileno(), ns=(1_000_000_001, 2_000_000_002))
    assert (directory / "file").stat().st_mtime_ns == 2_000_000_002


@pytest.mark.parametrize("size", [100, 300_000])
def test_times_seen_before_closing_stay(directory: Path, size: int) -> None:
    """What git does: it remembers the times of a file that it has written and not closed yet."""
    with (directory / "file").open("wb", buffering=0) as file:
        file.write(b"x" * size)
        seen = os.fstat(file.fileno())
    after = (directory / "file").stat()
    assert (seen.st_mtime_ns, seen.st_ctime_ns) == (after.st_mtime_ns, after.st_ctime_ns)


def test_times_after_a_truncation_are_those_that_stay(directory: Path) -> None:
    """Also for who asks at once, and within the time for which the kernel believes attributes."""
    path = directory / "file"
    path.write_bytes(b"content")
    before = path.stat().st_ctime_ns
    descriptor = os.open(path, os.O_RDWR)
    os.ftruncate(descriptor, 3)
    os.close(descriptor)
    assert path.stat().st_ctime_ns > before


def test_directories_can_be_synced(directory: Path) -> None:
    """By each who asks: the kernel is told once that it need not ask."""
    for name in ("first", "second"):
        (directory / name).mkdir()
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
    assert sorted(path.name for path in directory.iterdir()) == ["first", "second"]


def test_writing_changes_times(directory: Path) -> None:
    path = directory / "file"
    path.write_bytes(b"x")
    os.utime(path, ns=(1, 1))
    with path.open("ab", buffering=0) as file:
        file.write(b"y")
    assert path.stat().st_mtime_ns > 1
    os.utime(path, ns=(1, 1))
    os.truncate(path, 1)
    assert path.stat().st_mtime_ns > 1


def test_statfs(directory: Path) -> None:
    space = os.statvfs(directory)
    assert space.f_namemax == 255
    assert space.f_blocks * space.f_frsize > 1 << 30
    assert 0 < space.f_bavail <= space.f_blocks
    assert 0 < space.f_ffree < space.f_files


def test_extended_attributes(directory: Path) -> None:
    path = directory / "file"
    path.write_bytes(b"")
    assert os.listxattr(path) == []
    os.setxattr(path, "user.one", b"1")
    os.setxattr(path, "user.empty", b"")
    os.setxattr(path, "user.large", b"x" * 65_536)
    assert sorted(os.listxattr(path)) == ["user.empty", "user.large", "user.one"]
    assert os.getxattr(path, "user.one") == b"1"
    assert os.getxattr(path, "user.empty") == b""
    assert os.getxattr(path, "user.large") == b"x" * 65_536
    with refused(errno.EEXIST):
        os.setxattr(path, "user.one", b"2", os.XATTR_CREATE)
    with refused(errno.ENODATA):
        os.setxattr(path, "user.two", b"2", os.XATTR_REPLACE)
    os.setxattr(path, "user.one", b"2", os.XATTR_REPLACE)
    assert os.getxattr(path, "user.one") == b"2"
    os.removexattr(path, "user.one")
    with refused(errno.ENODATA):
        os.getxattr(path, "user.one")
    with refused(errno.ENODATA):
        os.removexattr(path, "user.one")
    with refused(errno.EOPNOTSUPP):
        os.setxattr(path, "unknown.name", b"x")
    os.setxattr(path, "system.posix_acl_access", acl_with_a_named_user())
    assert os.getxattr(path, "system.posix_acl_access") == acl_with_a_named_user()
    assert "system.posix_acl_access" in os.listxattr(path)
    os.setxattr(directory, "user.of-a-directory", b"yes")
    assert os.getxattr(directory, "user.of-a-directory") == b"yes"


def acl_with_a_named_user() -> bytes:
    """posix_acl_xattr: version, then (tag, permissions, id) of owner, a user, group, mask and others."""
    entries = [(0x01, 6, 0xFFFFFFFF), (0x02, 4, ALICE), (0x04, 4, 0xFFFFFFFF)]
    entries += [(0x10, 4, 0xFFFFFFFF), (0x20, 0, 0xFFFFFFFF)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def test_extended_attribute_sizes(directory: Path) -> None:
    import ctypes

    path = directory / "file"
    path.write_bytes(b"")
    os.setxattr(path, "user.name", b"twelve bytes")
    libc = ctypes.CDLL(None, use_errno=True)
    name, buffer = b"user.name", ctypes.create_string_buffer(5)
    assert libc.getxattr(os.fsencode(path), name, None, 0) == 12
    assert libc.getxattr(os.fsencode(path), name, buffer, 5) == -1
    assert ctypes.get_errno() == errno.ERANGE
    assert libc.listxattr(os.fsencode(path), buffer, 5) == -1
    assert ctypes.get_errno() == errno.ERANGE


def test_another_user_is_held_to_the_modes(directory: Path) -> None:
    (directory / "private").write_bytes(b"secret")
    (directory / "private").chmod(0o600)
    (directory / "public").write_bytes(b"known")
    (directory / "closed").mkdir(0o700)
    (directory / "closed" / "file").write_bytes(b"")
    run_as(
        ALICE,
        EXPECT
        + """
assert open(path + "/public").read() == "known"
refused(errno.EACCES, open, path + "/private")
refused(errno.EACCES, open, path + "/public", "a")
refused(errno.EACCES, open, path + "/new", "w")
refused(errno.EACCES, os.listdir, path + "/closed")
refused(errno.EACCES, os.stat, path + "/closed/file")
refused(errno.EACCES, os.unlink, path + "/public")
refused(errno.EPERM, os.chmod, path + "/public", 0o777)
refused(errno.EPERM, os.utime, path + "/public", (1, 1))
refused(errno.EPERM, os.chown, path + "/public", os.getuid(), -1)
refused(errno.EACCES, os.truncate, path + "/public", 0)
assert not os.access(path + "/public", os.W_OK) and os.access(path + "/public", os.R_OK)
""",
        directory,
    )


def test_another_user_owns_what_it_makes(directory: Path) -> None:
    directory.chmod(0o777)
    run_as(
        ALICE,
        EXPECT
        + """
with open(path + "/file", "w") as file:
    os.fchmod(file.fileno(), 0o400)
    file.write("mine")
os.mkdir(path + "/dir")
os.symlink("x", path + "/link")
os.chmod(path + "/file", 0o640)
os.chown(path + "/file", -1, 23456)
refused(errno.EPERM, os.chown, path + "/file", -1, 999)
refused(errno.EPERM, os.chown, path + "/file", 0, -1)
refused(errno.EPERM, os.mknod, path + "/device", stat.S_IFCHR | 0o600, os.makedev(1, 3))
""",
        directory,
        groups=(SHARED_GROUP,),
    )
    for name in ("file", "dir", "link"):
        assert (directory / name).lstat().st_uid == ALICE
    assert (directory / "file").stat().st_gid == SHARED_GROUP
    assert (directory / "file").read_bytes() == b"mine"


def test_supplementary_groups_count(directory: Path) -> None:
    (directory / "team").mkdir()
    os.chown(directory / "team", 0, SHARED_GROUP)
    (directory / "team").chmod(0o2770)
    code = EXPECT + 'open(path + "/team/file", "w").write("x"); os.mkdir(path + "/team/dir")'
    run_as(ALICE, code, directory, groups=(SHARED_GROUP,))
    run_as(BOB, EXPECT + 'refused(errno.EACCES, open, path + "/team/other", "w")', directory)
    assert (directory / "team" / "file").stat().st_gid == SHARED_GROUP
    assert (directory / "team" / "dir").stat().st_gid == SHARED_GROUP
    assert (directory / "team" / "dir").stat().st_mode & stat.S_ISGID


def test_sticky_directories(directory: Path) -> None:
    directory.chmod(0o1777)
    run_as(ALICE, EXPECT + 'open(path + "/file", "w").close()', directory)
    run_as(
        BOB,
        EXPECT
        + """
refused(errno.EPERM, os.unlink, path + "/file")
refused(errno.EPERM, os.rename, path + "/file", path + "/stolen")
""",
        directory,
    )
    run_as(ALICE, EXPECT + 'os.unlink(path + "/file")', directory)


@pytest.mark.parametrize("how", ["write", "truncate", "truncate at open", "allocate"])
def test_set_id_bits_go_when_another_writes(directory: Path, how: str) -> None:
    path = directory / "program"
    path.write_bytes(b"#!/bin/true")
    path.chmod(0o6777)
    code = {
        "write": "file = open(path, 'r+b', buffering=0); file.write(b'x'); file.close()",
        "truncate": "os.truncate(path, 3)",
        "truncate at open": "open(path, 'wb').close()",
        "allocate": "file = open(path, 'r+b'); os.posix_fallocate(file.fileno(), 0, 100)",
    }[how]
    run_as(ALICE, EXPECT + code, path)
    assert mode_of(path) == 0o777


def test_allocating_takes_set_group_id_from_who_is_not_in_the_group(directory: Path) -> None:
    for name, group, left in (("ours", ALICE, 0o2666), ("theirs", SHARED_GROUP, 0o666)):
        path = directory / name
        path.write_bytes(b"x")
        os.chown(path, 0, group)
        path.chmod(0o6666)
        run_as(ALICE, "os.posix_fallocate(os.open(path, os.O_RDWR), 0, 100)", path)
        assert mode_of(path) == left, name


def test_capabilities_go_when_another_allocates(directory: Path) -> None:
    path = directory / "program"
    path.write_bytes(b"#!/bin/true")
    path.chmod(0o777)
    capabilities = struct.pack("<5I", 0x0200_0001, 1 << 7, 0, 0, 0)
    os.setxattr(path, "security.capability", capabilities)
    run_as(ALICE, EXPECT + 'refused(errno.EPERM, os.removexattr, path, "security.capability")', path)
    assert "security.capability" in os.listxattr(path)
    run_as(ALICE, "os.posix_fallocate(os.open(path, os.O_RDWR), 0, 100)", path)
    assert "security.capability" not in os.listxattr(path)


def test_the_mode_is_asked_for_after_a_write_past_the_cache(directory: Path) -> None:
    path = directory / "f"
    path.write_bytes(b"short")
    path.chmod(0o6644)
    os.chown(path, ALICE, ALICE)
    path.chmod(0o6644)

    def mode_alone() -> str:
        """Of statx(2) that asks for the mode only, which the kernel may have cached."""
        return subprocess.run(
            ["stat", "-c", "%a", path], check=True, capture_output=True, text=True
        ).stdout.strip()

    assert mode_alone() == "6644"
    write = "f = os.open(path, os.O_WRONLY | os.O_DIRECT); os.pwrite(f, bytes(4096), 0); os.close(f)"
    run_as(ALICE, write, path)
    assert mode_alone() == "2644"


def test_set_id_bits_go_with_the_owner(directory: Path) -> None:
    path = directory / "program"
    path.write_bytes(b"")
    path.chmod(0o6755)
    os.chown(path, ALICE, ALICE)
    assert mode_of(path) == 0o755
