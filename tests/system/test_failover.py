"""``oastfs bench failover``: it kills the namenode in use, and no call of a client of ours fails."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from oastfs.client.remote import RemoteMetadata
from tests.harness.cluster import Cluster, run_oastfs
from tests.harness.process import OASTFS
from tests.harness.waiting import wait_until

PAUSE_SECONDS_MAX = 5.0
"""It is a tenth of a second where nothing else is at work; this tells a client that waits for a timeout."""


def failover(metadata: str, *faces: str, kills: int) -> list[dict[str, object]]:
    """The figures for each kind of client."""
    through = [word for face in faces for word in ("--through", face)]
    options = ["--target", metadata, "--kills", str(kills), "--json"]
    done = run_oastfs("bench", "failover", *options, *through, timeout=280)
    run_oastfs("fsck", metadata)
    results: list[dict[str, object]] = json.loads(done.stdout)["results"]
    assert [result["through"] for result in results] == list(faces)
    return results


@pytest.mark.timeout(300)
def test_no_call_fails_when_the_namenode_in_use_is_killed(empty_database: str) -> None:
    for result in failover(empty_database, "oastfs", "fsspec", "mount", kills=2):
        assert result["failures"] == [], result
        pauses = result["pauses_seconds"]
        assert isinstance(pauses, list) and len(pauses) == 2
        assert 0 < max(pauses) < PAUSE_SECONDS_MAX, result
        assert isinstance(result["calls"], int) and result["calls"] > 100


@pytest.mark.timeout(300)
def test_on_an_embedded_store_as_a_table(tmp_path: Path) -> None:
    metadata = f"lmdb://{tmp_path / 'store'}"
    kept, page, report = (tmp_path / name for name in ("kept.json", "page.html", "report.html"))
    files = ("--out", kept, "--html", page)
    done = run_oastfs("bench", "failover", "--target", metadata, "--kills", 1, "--namenodes", 2, *files)
    headers, row, *more = done.stdout.splitlines()
    assert headers.split()[:4] == ["through", "kills", "calls", "failed"]
    assert row.split()[0] == "oastfs" and row.split()[3] == "0" and not more
    assert run_oastfs("ls", f"{metadata}!/").stdout == "", "it leaves nothing behind"
    run_oastfs("bench", "report", kept, "--html", report)
    assert report.read_text() == page.read_text()
    assert "Pauses by client" in page.read_text()


@pytest.mark.timeout(300)
def test_a_namenode_that_hangs_is_not_waited_for(
    empty_database: str, make_cluster: Callable[..., Cluster]
) -> None:
    """Stopped in the middle of everything, as a machine that is gone: its connections stay open.

    Not on an embedded store: a process that is stopped while it writes there holds up all others.
    """
    cluster = make_cluster(namenodes=3, datanodes=0, metadata=[empty_database])
    cluster.allow_in_logs(".*")
    pauses = []
    with cluster.connect(keep=False) as fs:
        fs.mkdir("/d")
        for turn in range(3):
            assert isinstance(fs.metadata, RemoteMetadata)
            used = cluster.namenodes[fs.metadata._first]
            os.kill(used.pid, signal.SIGSTOP)
            try:
                begun = time.monotonic()
                fs.write_bytes(f"/d/{turn}", b"x")
                fs.stat(f"/d/{turn}")
                pauses.append(time.monotonic() - begun)
            finally:
                os.kill(used.pid, signal.SIGCONT)
        assert sorted(entry.name for entry in fs.listdir("/d")) == ["0", "1", "2"]
    print(f"pauses: {pauses}")
    assert max(pauses) < 10, "two seconds, not a third of a minute"


@pytest.mark.timeout(120)
def test_its_servers_end_with_it(tmp_path: Path) -> None:
    metadata = f"lmdb://{tmp_path / 'store'}"
    bench = subprocess.Popen([OASTFS, "bench", "failover", "--target", metadata, "--namenodes", "2"])
    try:
        wait_until(lambda: len(servers_of(metadata)) == 2, "two namenodes", 60)
    finally:
        bench.kill()
        bench.wait()
    wait_until(lambda: not servers_of(metadata), "the namenodes to end", 30)


def servers_of(metadata: str) -> list[str]:
    """Processes that were given a store, but for the benchmark itself."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if "namenode" in arguments and metadata in arguments:
            found.append(path.parent.name)
    return found


def test_what_it_refuses(tmp_path: Path) -> None:
    for arguments, text in (
        (["failover", "stat", "--target", f"lmdb://{tmp_path}/s"], "unexpected extra argument"),
        (["failover"], "Missing option '--target'"),
        (["failover", "--target", f"lmdb://{tmp_path}/s", "--through", "carrier-pigeon"], "no client"),
    ):
        done = run_oastfs("bench", *arguments, check=False)
        assert done.returncode == 2 and text in done.stderr, done.stderr
