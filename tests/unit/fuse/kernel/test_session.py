"""The serving loop, with a pair of sockets in the place of ``/dev/fuse``: both keep messages apart."""

from __future__ import annotations

import errno
import os
import random
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from oastfs.client.filesystem import Filesystem, connect
from oastfs.fuse.filesystem import InodeFilesystem
from oastfs.fuse.kernel import protocol as p
from oastfs.fuse.kernel.protocol import InitFlag, Notice, Opcode, Valid
from oastfs.fuse.kernel.session import MAX_PAGES, MAX_TRANSFER_BYTES, STACK_DEPTH, WANTED, Session
from oastfs.fuse.options import MountConfig
from oastfs.namenode.server.process import NamenodeConfig, namenode_thread
from tests.unit.fuse.conftest import ROOT, ROOT_ID


class Kernel:
    """The kernel's side of the conversation."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.unique = 0
        self.pid = os.getpid()

    def send(self, opcode: int, node: int, body: bytes, uid: int = 0) -> int:
        self.unique += 2
        size = p.IN_HEADER_BYTES + len(body)
        header = p.IN_HEADER.pack(size, opcode, self.unique, node, uid, uid, self.pid, 0)
        self.connection.send(header + body)
        return self.unique

    def receive(self) -> tuple[int, int, bytes]:
        """(unique, errno, body) of an answer."""
        answer = self.connection.recv(2 << 20)
        size, code, unique = p.OUT_HEADER.unpack_from(answer)
        assert size == len(answer)
        return unique, -code, answer[p.OUT_HEADER_BYTES :]

    def ask(self, opcode: int, node: int, body: bytes = b"", uid: int = 0) -> tuple[int, bytes]:
        unique = self.send(opcode, node, body, uid)
        answered, code, answer = self.receive()
        assert answered == unique
        return code, answer

    def create(self, name: bytes) -> int:
        """Make and open a file; its node."""
        code, answer = self.ask(
            Opcode.CREATE, ROOT_ID, p.CREATE_IN.pack(os.O_RDWR, 0o100644, 0, 0) + name + b"\0"
        )
        assert code == 0
        return int(p.ENTRY_OUT.unpack_from(answer)[0])


@pytest.fixture(params=["direct", "postgresql", "namenode"])
def face(request: pytest.FixtureRequest) -> str:
    """What is below the mount: a store in its process, a database, or a namenode."""
    return str(request.param)


@pytest.fixture
def metadata_url(request: pytest.FixtureRequest, face: str, tmp_path: Path) -> str:
    if face == "postgresql":
        return str(request.getfixturevalue("database"))
    return f"lmdb://{tmp_path}/store"


@pytest.fixture
def mounted(
    face: str, metadata_url: str, filesystem: Filesystem, tmp_path: Path
) -> Iterator[InodeFilesystem]:
    if face != "namenode":
        yield InodeFilesystem(filesystem, MountConfig(metadata_url, str(tmp_path / "mnt")))
        return
    config = NamenodeConfig(metadata=(metadata_url,), port=0, control_port=0, http_port=0, log_level="error")
    with namenode_thread(config) as endpoints:
        url = f"oastfs://127.0.0.1:{endpoints.port}"
        with connect(url, caller=ROOT) as remote:
            yield InodeFilesystem(remote, MountConfig(url, str(tmp_path / "mnt")))


@pytest.fixture
def kernel(mounted: InodeFilesystem) -> Iterator[Kernel]:
    """A session that has been set up."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for side in (ours, theirs):
        side.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        side.settimeout(30)
    theirs.setblocking(True)
    ready = threading.Event()
    session = Session(mounted, theirs.fileno(), on_ready=ready.set)
    thread = threading.Thread(target=session.serve)
    thread.start()
    kernel = Kernel(ours)
    offered = int(WANTED) | InitFlag.WRITEBACK_CACHE
    code, answer = kernel.ask(Opcode.INIT, 0, p.INIT_IN.pack(7, 40, 131072, offered) + bytes(48))
    assert code == 0
    assert ready.wait(10)
    major, minor, _, flags, _, _, max_write, _, max_pages, _, flags2, stack_depth = p.INIT_OUT.unpack(answer)
    assert (major, minor) == (7, p.MINOR)
    assert (flags, flags2, stack_depth) == (WANTED, 0, STACK_DEPTH)
    assert (max_write, max_pages) == (MAX_TRANSFER_BYTES, MAX_PAGES)
    yield kernel
    ours.shutdown(socket.SHUT_WR)  # what was not received does no harm
    thread.join(10)
    assert not thread.is_alive()
    ours.close()
    theirs.close()


def test_unknown_requests(kernel: Kernel) -> None:
    assert kernel.ask(999, ROOT_ID) == (errno.ENOSYS, b"")


def test_old_kernels_are_refused(mounted: InodeFilesystem) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    thread = threading.Thread(target=Session(mounted, theirs.fileno()).serve)
    thread.start()
    code, _ = Kernel(ours).ask(Opcode.INIT, 0, p.INIT_IN.pack(7, 19, 131072, 0))
    assert code == errno.EPROTO
    ours.close()
    thread.join(10)
    theirs.close()


def test_kernels_that_say_less_are_answered(mounted: InodeFilesystem) -> None:
    """Before Linux 5.17 there was nothing behind the flags."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    thread = threading.Thread(target=Session(mounted, theirs.fileno()).serve)
    thread.start()
    code, answer = Kernel(ours).ask(Opcode.INIT, 0, p.INIT_IN.pack(7, 34, 131072, int(WANTED)))
    assert code == 0
    assert p.INIT_OUT.unpack(answer)[:2] == (7, 34)
    ours.shutdown(socket.SHUT_WR)
    thread.join(10)
    assert not thread.is_alive()
    ours.close()
    theirs.close()


def test_lookup(kernel: Kernel, filesystem: Filesystem, face: str) -> None:
    inode_id = filesystem.write_bytes("/file", b"12345").inode_id
    code, answer = kernel.ask(Opcode.LOOKUP, ROOT_ID, b"file\0")
    entry = p.ENTRY_OUT.unpack(answer)
    assert code == 0
    assert (entry[0], entry[2], entry[3]) == (inode_id, 1, 1)
    assert (entry[6], entry[7]) == (inode_id, 5)
    assert kernel.ask(Opcode.LOOKUP, ROOT_ID, b"missing\0") == (errno.ENOENT, b"")
    assert kernel.ask(Opcode.LOOKUP, ROOT_ID, b"\xff\0") == (errno.EILSEQ, b"")
    assert kernel.ask(Opcode.LOOKUP, ROOT_ID, b"n" * 256 + b"\0") == (errno.ENAMETOOLONG, b"")
    # On a database the entry is asked for, and nothing else.
    gone = errno.ENOENT if face == "postgresql" else errno.ESTALE
    assert kernel.ask(Opcode.LOOKUP, 12_345_678, b"file\0") == (gone, b"")


def test_nobody_waits_for_who_is_at_work_on_a_file(kernel: Kernel, mounted: InodeFilesystem) -> None:
    """Whoever has it may be waiting for what the serving thread carries on."""
    node = kernel.create(b"file")
    file = mounted.handles.open[node].file
    assert file.try_hold()
    try:
        write = kernel.send(Opcode.WRITE, node, p.WRITE_IN.pack(node, 0, 4, 0, 0, 0, 0) + b"data")
        code, _ = kernel.ask(Opcode.CREATE, ROOT_ID, p.CREATE_IN.pack(os.O_RDWR, 0o100644, 0, 0) + b"other\0")
        assert code == 0
        opening = kernel.send(Opcode.OPEN, node, p.OPEN_IN.pack(os.O_RDWR | os.O_TRUNC, 0))
        code, _ = kernel.ask(Opcode.LOOKUP, ROOT_ID, b"missing\0")
        assert code == errno.ENOENT
    finally:
        file.let_go()
    assert {kernel.receive()[:2], kernel.receive()[:2]} == {(write, 0), (opening, 0)}


def test_write_and_read(kernel: Kernel, filesystem: Filesystem) -> None:
    node = kernel.create(b"file")
    data = b"data" * 100
    code, answer = kernel.ask(Opcode.WRITE, node, p.WRITE_IN.pack(node, 10, len(data), 0, 0, 0, 0) + data)
    assert (code, p.WRITE_OUT.unpack(answer)[0]) == (0, len(data))
    code, answer = kernel.ask(Opcode.READ, node, p.READ_IN.pack(node, 8, 1000, 0, 0, 0, 0))
    assert (code, answer) == (0, b"\0\0" + data)
    assert kernel.ask(Opcode.FLUSH, node, bytes(24)) == (0, b"")
    assert filesystem.read_bytes("/file") == bytes(10) + data
    assert kernel.ask(Opcode.RELEASE, node, bytes(24)) == (0, b"")
    assert kernel.ask(Opcode.READ, node, p.READ_IN.pack(node, 0, 10, 0, 0, 0, 0))[0] == errno.ESTALE


def test_changes_are_answered_while_others_wait(kernel: Kernel, filesystem: Filesystem) -> None:
    """Many requests at once, as many callers make them: each gets its own answer."""
    waiting = {
        kernel.send(Opcode.MKDIR, ROOT_ID, p.MKDIR_IN.pack(0o755, 0) + b"dir%d\0" % (number % 50)): number
        for number in range(60)
    }
    codes: dict[int, int] = {}
    while len(codes) < len(waiting):
        unique, code, _ = kernel.receive()
        codes[waiting[unique]] = code
    assert [codes[number] for number in range(50)] == [0] * 50
    assert [codes[number] for number in range(50, 60)] == [errno.EEXIST] * 10
    assert len(list(filesystem.listdir("/"))) == 50


def test_a_request_that_takes_several_changes(kernel: Kernel, filesystem: Filesystem) -> None:
    """What is written is sent, then the link is made; also after a long run of changes by one process."""
    for number in range(200):
        assert kernel.ask(Opcode.MKDIR, ROOT_ID, p.MKDIR_IN.pack(0o755, 0) + b"dir%d\0" % number)[0] == 0
    node = kernel.create(b"file")
    kernel.ask(Opcode.WRITE, node, p.WRITE_IN.pack(node, 0, 4, 0, 0, 0, 0) + b"data")
    assert kernel.ask(Opcode.LINK, ROOT_ID, p.LINK_IN.pack(node) + b"second\0")[0] == 0
    assert filesystem.read_bytes("/second") == b"data"
    valid = Valid.MODE | Valid.UID | Valid.MTIME
    body = p.SETATTR_IN.pack(valid, 0, 0, 0, 0, 0, 5, 0, 0, 6, 0, 0o100600, 0, 77, 0, 0)
    assert kernel.ask(Opcode.SETATTR, node, body)[0] == 0
    status = filesystem.stat("/file")
    assert (status.mode & 0o777, status.uid, status.mtime_ns) == (0o600, 77, 5 * 10**9 + 6)


def test_a_lone_changer_and_somebody_else(kernel: Kernel, filesystem: Filesystem) -> None:
    """Changes of one process, and now and then a look by another: each is answered once."""
    for number in range(200):
        unique = kernel.send(Opcode.MKDIR, ROOT_ID, p.MKDIR_IN.pack(0o755, 0) + b"dir%d\0" % number)
        expected = {(unique, 0)}
        if number % 7 == 0:
            kernel.pid += 1
            expected.add((kernel.send(Opcode.GETATTR, ROOT_ID, bytes(16)), 0))
            kernel.pid -= 1
        assert {kernel.receive()[:2] for _ in expected} == expected
    assert len(list(filesystem.listdir("/"))) == 200


def test_forgetting_gets_no_answer(kernel: Kernel, filesystem: Filesystem) -> None:
    inode_id = filesystem.write_bytes("/file", b"").inode_id
    kernel.send(Opcode.FORGET, inode_id, p.FORGET_IN.pack(1))
    kernel.send(Opcode.BATCH_FORGET, 0, p.BATCH_FORGET_IN.pack(2, 0) + p.FORGET_ONE.pack(inode_id, 1) * 2)
    kernel.send(Opcode.INTERRUPT, 0, struct.pack("=Q", 2))
    code, _ = kernel.ask(Opcode.GETATTR, inode_id, bytes(16))
    assert code == 0


def test_who_asks_counts(kernel: Kernel) -> None:
    body = p.MKDIR_IN.pack(0o755, 0) + b"dir\0"
    assert kernel.ask(Opcode.MKDIR, ROOT_ID, body, uid=12_345)[0] == errno.EACCES
    assert kernel.ask(Opcode.MKDIR, ROOT_ID, body, uid=0)[0] == 0


def test_capabilities_of_files_without_attributes_are_answered_at_once(kernel: Kernel) -> None:
    node = kernel.create(b"file")
    body = p.GETXATTR_IN.pack(0, 0) + b"security.capability\0"
    assert kernel.ask(Opcode.GETXATTR, node, body)[0] == errno.ENODATA


def test_garbage_is_answered_with_an_error(kernel: Kernel) -> None:
    """The kernel does not send any; if it did, the loop would go on."""
    rng = random.Random(5)
    opcodes = [code for code in Opcode if code not in (Opcode.INIT, Opcode.WRITE)]
    for _ in range(300):
        kernel.send(rng.choice(opcodes), rng.randrange(3), rng.randbytes(rng.randrange(60)))
    unique = kernel.send(Opcode.GETATTR, ROOT_ID, bytes(16))
    while True:
        answered, code, _ = kernel.receive()
        if answered == unique:
            assert code == 0
            return


def test_a_small_content_comes_before_the_answer_to_open(kernel: Kernel, filesystem: Filesystem) -> None:
    node = filesystem.write_bytes("/file", b"content").inode_id
    kernel.ask(Opcode.LOOKUP, ROOT_ID, b"file\0")
    asked = kernel.send(Opcode.OPEN, node, p.OPEN_IN.pack(os.O_RDONLY, 0))
    unique, notice, body = kernel.receive()
    assert (unique, -notice) == (0, Notice.STORE)
    assert p.NOTIFY_STORE.unpack_from(body) == (node, 0, 7, 0)
    assert body[p.NOTIFY_STORE.size :] == b"content"
    unique, code, body = kernel.receive()
    assert (unique, code) == (asked, 0)
    handle, flags, _ = p.OPEN_OUT.unpack(body)
    assert flags == p.OPEN_KEEP_CACHE | p.OPEN_NOFLUSH
    assert handle >> 63, "closed without a FLUSH: it is known by a number of its own"
    code, answer = kernel.ask(Opcode.READ, node, p.READ_IN.pack(node, 0, 100, 0, 0, 0, 0))
    assert (code, answer) == (0, b"content")
    assert kernel.ask(Opcode.RELEASE, node, bytes(24)) == (0, b"")
