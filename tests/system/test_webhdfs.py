"""Contents over WebHDFS, with real processes: requests by an HTTP library and by raw sockets."""

from __future__ import annotations

import os
import random
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import requests

from oastfs.client.filesystem import Filesystem
from oastfs.core.errors import NotFound
from tests.harness.cluster import HOST, Cluster
from tests.harness.waiting import wait_until

USER = {"user.name": "root"}
KIB, MIB = 1024, 1024 * 1024


class WebHdfs:
    """Requests to a cluster's first namenode, as root."""

    def __init__(self, cluster: Cluster) -> None:
        self.base = f"http://{HOST}:{cluster.namenodes[0].http_port}/webhdfs/v1"

    def ask(self, method: str, path: str, op: str, data: Any = None, **values: object) -> requests.Response:
        """Follow the redirect by hand, as WebHDFS's clients do: no content goes to the namenode."""
        params: dict[str, Any] = {"op": op, **USER, **values}
        answer = requests.request(method, self.base + path, params=params, allow_redirects=False, timeout=60)
        if answer.status_code != 307:
            return answer
        return requests.request(method, answer.headers["Location"], data=data, timeout=120)

    def location(self, method: str, path: str, op: str, **values: object) -> str:
        """Where a request is sent."""
        answer = self.ask(method, path, op, noredirect="true", **values)
        assert answer.status_code == 200, answer.text
        found: str = answer.json()["Location"]
        return found

    def put(self, path: str, data: Any, **values: object) -> requests.Response:
        return self.ask("PUT", path, "CREATE", data, **values)

    def get(self, path: str, **values: object) -> bytes:
        answer = self.ask("GET", path, "OPEN", **values)
        assert answer.status_code == 200, answer.text
        assert int(answer.headers["Content-Length"]) == len(answer.content)
        return answer.content


@pytest.fixture
def web(cluster: Cluster) -> WebHdfs:
    return WebHdfs(cluster)


@pytest.fixture
def fs(cluster: Cluster) -> Filesystem:
    found: Filesystem = cluster.connect()
    return found


def error_of(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["RemoteException"]["exception"]


# --- contents -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 64 * KIB, 64 * KIB + 1, 3 * MIB + 17])
@pytest.mark.parametrize("chunked", [False, True])
def test_what_is_put_is_what_is_got(web: WebHdfs, fs: Filesystem, size: int, chunked: bool) -> None:
    content = random.Random(size).randbytes(size)
    pieces = (content[at : at + 100_000] for at in range(0, size, 100_000))
    answer = web.put("/d/file", pieces if chunked else content)
    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"].endswith("/d/file")
    assert fs.read_bytes("/d/file") == content
    assert web.get("/d/file") == content
    assert fs.stat("/d/file").is_inline == (size <= fs.info.inline_limit)
    for offset, length in ((0, 10), (size // 2, 70_000), (max(size - 1, 0), 5)):
        assert web.get("/d/file", offset=offset, length=length) == content[offset : offset + length]
    assert error_of(web.ask("GET", "/d/file", "OPEN", offset=size + 1)) == (403, "IOException") or not size


def test_appending_goes_on_from_inline_content_to_blocks(web: WebHdfs, fs: Filesystem) -> None:
    dice = random.Random(5)
    content = b""
    assert web.put("/log", b"").status_code == 201
    for size in (10, 30_000, 40_000, 5 * MIB, 0, 700, 2 * MIB):
        piece = dice.randbytes(size)
        assert web.ask("POST", "/log", "APPEND", piece).status_code == 200
        content += piece
        assert fs.read_bytes("/log") == content, f"after {size} more bytes"
    assert web.get("/log") == content


def test_files_have_the_properties_that_are_asked_for(web: WebHdfs, fs: Filesystem) -> None:
    content = os.urandom(5 * MIB)
    web.put("/f", content, permission="640", blocksize=MIB, replication=2)
    status = fs.stat("/f")
    assert (status.mode & 0o7777, status.block_size, status.replication) == (0o640, MIB, 2)
    assert web.get("/f") == content
    places = web.ask("GET", "/f", "GETFILEBLOCKLOCATIONS").json()["BlockLocations"]["BlockLocation"]
    assert [place["offset"] for place in places] == [n * MIB for n in range(5)]
    algorithm = web.ask("GET", "/f", "GETFILECHECKSUM").json()["FileChecksum"]["algorithm"]
    assert algorithm == "MD5-of-2048MD5-of-512CRC32C"


def test_overwriting_is_asked_for(web: WebHdfs, fs: Filesystem) -> None:
    web.put("/f", b"one")
    for content in (b"two", os.urandom(MIB)):
        assert error_of(web.put("/f", content)) == (403, "FileAlreadyExistsException")
    assert fs.read_bytes("/f") == b"one"
    for content in (b"three", os.urandom(MIB)):
        assert web.put("/f", content, overwrite="true").status_code == 201
        assert fs.read_bytes("/f") == content
    fs.mkdir("/d")
    assert error_of(web.put("/d", b"x", overwrite="true")) == (403, "FileAlreadyExistsException")
    assert error_of(web.put("/none/f", b"x", createparent="false")) == (404, "FileNotFoundException")


def test_permissions_are_those_of_the_user(web: WebHdfs, fs: Filesystem) -> None:
    web.put("/secret", b"x", permission="600")
    eve = {"user.name": "eve"}
    for answer in (
        web.ask("GET", "/secret", "OPEN", **eve),
        web.ask("GET", "/secret", "GETFILECHECKSUM", **eve),
        web.ask("POST", "/secret", "APPEND", b"x", **eve),
        web.put("/evil", b"x", **eve),
        web.put("/evil", os.urandom(MIB), **eve),
    ):
        assert error_of(answer) == (403, "AccessControlException"), answer.text
    fs.chmod("/", 0o777)
    assert web.put("/own", b"x", **eve).status_code == 201
    assert web.ask("GET", "/own", "GETFILESTATUS").json()["FileStatus"]["owner"] == "eve"
    fs.chmod("/", 0o755)
    # No call of a client has any part of what a user may not have.
    assert fs.read_bytes("/secret") == b"x"


@pytest.mark.parametrize("name", ["a b", "c+d", "100%", "semi;colon", "ü 漢", "q?u#e&r=y", "%25"])
def test_names(web: WebHdfs, fs: Filesystem, name: str) -> None:
    quoted = quote(f"/{name}/{name}")
    assert web.put(quoted, name.encode()).status_code == 201
    assert fs.read_bytes(f"/{name}/{name}") == name.encode()
    assert web.get(quoted) == name.encode()
    assert web.ask("PUT", quoted, "RENAME", destination=f"/{name}2").json() == {"boolean": True}
    assert fs.read_bytes(f"/{name}2") == name.encode()


def test_a_page_in_a_browser_changes_nothing(web: WebHdfs, fs: Filesystem) -> None:
    web.put("/f", b"content")
    evil = {"Origin": "http://evil.example"}
    truncate = f"{web.base}/f?op=TRUNCATE&newlength=0&user.name=root"
    assert error_of(requests.post(truncate, headers=evil, timeout=30)) == (403, "SecurityException")
    append = web.location("POST", "/f", "APPEND")
    assert error_of(requests.post(append, data=b"x", headers=evil, timeout=30))[0] == 403
    assert fs.read_bytes("/f") == b"content"


def test_only_one_appends(web: WebHdfs, fs: Filesystem) -> None:
    web.put("/f", b"start")
    held, go_on = threading.Event(), threading.Event()

    def slowly() -> Iterator[bytes]:
        yield b"a" * 200_000
        held.set()
        assert go_on.wait(60)
        yield b"b" * 200_000

    answers: list[requests.Response] = []
    thread = threading.Thread(target=lambda: answers.append(web.ask("POST", "/f", "APPEND", slowly())))
    thread.start()
    try:
        assert held.wait(60)
        refused: list[requests.Response] = []

        def is_refused() -> bool:
            refused.append(web.ask("POST", "/f", "APPEND", b"x"))
            return refused[-1].status_code == 403

        wait_until(is_refused, "the first to have the file")
        assert error_of(refused[-1]) == (403, "AlreadyBeingCreatedException")
    finally:
        go_on.set()
        thread.join()
    assert answers[0].status_code == 200
    content = fs.read_bytes("/f")
    assert content.rstrip(b"x").endswith(b"b") and content.startswith(b"start")


# --- requests that break off, or wait ---------------------------------------------------------------


def connection(url: str, method: str, length: int | None, *headers: str) -> socket.socket:
    """A request whose body is still to come; in chunks, if its length is not given."""
    parts = urlsplit(url)
    sock = socket.create_connection((parts.hostname or "", parts.port or 0), 30)
    lines = [f"{method} {parts.path}?{parts.query} HTTP/1.1", f"Host: {parts.netloc}"]
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    lines += [framing, *headers, "", ""]
    sock.sendall("\r\n".join(lines).encode())
    return sock


@pytest.mark.parametrize("size", [10 * KIB, 8 * MIB])
@pytest.mark.parametrize("chunked", [False, True])
def test_an_upload_that_breaks_off_makes_no_file(
    web: WebHdfs, fs: Filesystem, size: int, chunked: bool
) -> None:
    url = web.location("PUT", "/f", "CREATE")
    with connection(url, "PUT", None if chunked else 2 * size) as sock:
        content = os.urandom(size)
        sock.sendall(b"%x\r\n%b\r\n" % (size, content) if chunked else content)
        if size > MIB:
            wait_until(lambda: fs.exists("/f"), "the file under construction")
    wait_until(lambda: not fs.exists("/f"), "the file to be gone")
    assert web.put("/f", b"again").status_code == 201
    assert fs.read_bytes("/f") == b"again"


def test_a_small_upload_that_breaks_off_leaves_the_old_file(web: WebHdfs, fs: Filesystem) -> None:
    web.put("/f", b"old")
    with connection(web.location("PUT", "/f", "CREATE", overwrite="true"), "PUT", 1000) as sock:
        sock.sendall(b"new")
    assert web.put("/other", b"x").status_code == 201
    assert fs.read_bytes("/f") == b"old"


def test_garbage_in_place_of_a_body_makes_no_file(web: WebHdfs, fs: Filesystem) -> None:
    with connection(web.location("PUT", "/f", "CREATE"), "PUT", None) as sock:
        sock.sendall(b"10\r\n" + bytes(16) + b"\r\nnot a length\r\n")
        assert not sock.recv(1000).startswith(b"HTTP/1.1 2")
    assert not fs.exists("/f")
    # A reader that goes away in the middle is not worth an alarm either.
    web.put("/large", bytes(64 * MIB))
    with connection(web.location("GET", "/large", "OPEN"), "GET", 0) as sock:
        assert sock.recv(1000)
    assert web.get("/large", offset=1, length=5) == bytes(5)


def test_what_was_appended_before_it_broke_off_stays(web: WebHdfs, fs: Filesystem) -> None:
    web.put("/f", b"start")
    sent = os.urandom(3 * MIB)
    with connection(web.location("POST", "/f", "APPEND"), "POST", 9 * MIB) as sock:
        sock.sendall(sent)

    def closed() -> bool:
        return web.ask("POST", "/f", "APPEND", b"END").status_code == 200

    wait_until(closed, "the file to be closed again")
    content = fs.read_bytes("/f")
    assert content.startswith(b"start") and content.endswith(b"END")
    assert sent.startswith(content[5:-3])


def test_a_body_is_asked_for_only_when_it_will_be_taken(web: WebHdfs, fs: Filesystem) -> None:
    content = os.urandom(MIB)
    with connection(web.location("PUT", "/f", "CREATE"), "PUT", MIB, "Expect: 100-continue") as sock:
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(content)
        assert sock.recv(1000).startswith(b"HTTP/1.1 201 ")
    assert fs.read_bytes("/f") == content
    with connection(web.location("PUT", "/f", "CREATE"), "PUT", MIB, "Expect: 100-continue") as sock:
        assert sock.recv(1000).startswith(b"HTTP/1.1 403 ")
    with connection(f"{web.base}/g?op=CREATE&user.name=root", "PUT", MIB, "Expect: 100-continue") as sock:
        assert sock.recv(1000).startswith(b"HTTP/1.1 307 ")


# --- redirects --------------------------------------------------------------------------------------


def test_a_datanode_goes_to_no_namenode_but_its_own(web: WebHdfs, cluster: Cluster, tmp_path: Path) -> None:
    url = web.location("PUT", "/f", "CREATE")
    port = cluster.namenodes[0].port
    assert f"namenoderpcaddress=127.0.0.1%3A{port}" in url
    with socket.create_server((HOST, 0)) as stranger:
        stranger.settimeout(0.2)
        other = url.replace(f"A{port}", f"A{stranger.getsockname()[1]}")
        answer = requests.put(other, data=b"x", timeout=30)
        assert error_of(answer) == (403, "IOException")
        with pytest.raises(TimeoutError):
            stranger.accept()
    assert error_of(requests.put(url.partition("&namenoderpc")[0], data=b"x", timeout=30))[0] == 400
    assert error_of(requests.get(url, timeout=30)) == (400, "IllegalArgumentException")


def test_readers_are_sent_to_a_datanode_that_has_the_bytes(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster(datanodes=3, replication=1, namenode_options=("--dead-after", "3"))
    web, fs = WebHdfs(cluster), cluster.connect()
    ports = {server.http_port for server in cluster.datanodes}
    by_port = {server.port: server for server in cluster.datanodes}
    for number in range(4):
        web.put(f"/f{number}", os.urandom(2 * MIB), blocksize=MIB)
        for offset in (0, MIB):
            opened = fs.metadata.open(fs.caller, f"/f{number}", offset, 1)
            holder = by_port[opened.blocks[0].locations[0].data_port]
            url = web.location("GET", f"/f{number}", "OPEN", offset=offset)
            assert urlsplit(url).port == holder.http_port
    assert {urlsplit(web.location("PUT", "/new", "CREATE")).port for _ in range(60)} == ports
    gone = cluster.datanodes[0]
    assert urlsplit(web.location("PUT", "/new", "CREATE", excludedatanodes=f"{HOST}:{gone.http_port}")).port
    gone.kill()
    wait_until(
        lambda: (
            gone.http_port not in {urlsplit(web.location("PUT", "/new", "CREATE")).port for _ in range(20)}
        ),
        "redirects to those that are left",
    )
    cluster.fsck_at_end = False  # one replica was enough for them, and some are gone with it
    for server in cluster.datanodes[1:]:
        server.kill()
    wait_until(
        lambda: "Failed to find datanode" in web.ask("PUT", "/new", "CREATE").text,
        "no redirect to be possible",
    )


def test_a_large_file_takes_little_memory(web: WebHdfs, cluster: Cluster, fs: Filesystem) -> None:
    size_mib = 300
    piece = os.urandom(MIB)

    def resident_mib() -> float:
        status = Path(f"/proc/{cluster.datanodes[0].pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / KIB

    web.put("/warm", piece * 3)
    before = resident_mib()
    assert web.put("/large", (piece for _ in range(size_mib))).status_code == 201
    url = web.location("GET", "/large", "OPEN")
    with requests.get(url, stream=True, timeout=60) as answer:
        for number, got in enumerate(answer.iter_content(MIB)):
            assert got == piece, f"MiB {number} of the file differs"
    assert fs.stat("/large").length == size_mib * MIB
    assert resident_mib() - before < 200
    with pytest.raises(NotFound):
        fs.stat("/larger")
