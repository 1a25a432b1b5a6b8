"""``oastfs bench failover``: it kills the namenode in use, and no call of a client of ours fails."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.cluster import Cluster, run_oastfs

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
    done = run_oastfs("bench", "failover", "--target", metadata, "--kills", 1, "--namenodes", 2)
    headers, row, *more = done.stdout.splitlines()
    assert headers.split()[:4] == ["through", "kills", "calls", "failed"]
    assert row.split()[0] == "oastfs" and row.split()[3] == "0" and not more
    assert run_oastfs("ls", f"{metadata}!/").stdout == "", "it leaves nothing behind"


@pytest.mark.timeout(300)
def test_a_namenode_that_hangs_is_not_waited_for(make_cluster: Callable[..., Cluster]) -> None:
    """Stopped in the middle of everything, as a machine that is gone: its connections stay open."""
    cluster = make_cluster(namenodes=3, datanodes=0)
    cluster.allow_in_logs(".*")
    pauses = []
    with cluster.connect(keep=False) as fs:
        fs.mkdir("/d")
        for turn in range(3):
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


def test_what_it_refuses(tmp_path: Path) -> None:
    for arguments, text in (
        (["failover", "stat", "--target", f"lmdb://{tmp_path}/s"], "unexpected extra argument"),
        (["failover"], "Missing option '--target'"),
        (["failover", "--target", f"lmdb://{tmp_path}/s", "--through", "carrier-pigeon"], "no client"),
    ):
        done = run_oastfs("bench", *arguments, check=False)
        assert done.returncode == 2 and text in done.stderr, done.stderr
