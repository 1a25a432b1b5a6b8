"""An older backup of a database put in place, as docs/operations.md says, while datanodes have gone on."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.cluster import Cluster
from tests.harness.postgresql import PostgresServer
from tests.harness.waiting import wait_until

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
BLOCK_BYTES = 1 << 20


def dump(url: str) -> bytes:
    """What pg_dump writes."""
    [program] = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_dump"))[-1:]
    plain = url.replace("+psycopg2", "")
    return subprocess.run([program, plain], capture_output=True, check=True, timeout=60).stdout


def restore(url: str, text: bytes) -> None:
    """Into an empty database."""
    [program] = sorted(Path("/usr/lib/postgresql").glob("*/bin/psql"))[-1:]
    command = [str(program), "--quiet", "--set=ON_ERROR_STOP=1", url.replace("+psycopg2", "")]
    subprocess.run(command, input=text, capture_output=True, check=True, timeout=60)


@pytest.mark.timeout(300)
def test_an_older_backup_is_restored(
    postgresql: PostgresServer, make_cluster: Callable[..., Cluster]
) -> None:
    database = postgresql.create_database()
    url = postgresql.url(database)
    cluster = make_cluster(
        namenodes=2,
        datanodes=2,
        replication=2,
        metadata=[url],
        format_options=["--block-size", str(BLOCK_BYTES)],
    )
    cluster.allow_in_logs(".*")  # namenodes that are gone, blocks that nobody knows
    before, after = os.urandom(2 * BLOCK_BYTES), os.urandom(2 * BLOCK_BYTES)
    with cluster.connect(keep=False) as fs:
        fs.write_bytes("/kept", before)
        fs.write_bytes("/small", b"small")
        backup = dump(url)
        fs.write_bytes("/lost", after)
        fs.rename("/kept", "/moved")
        for number in range(20):
            fs.write_bytes(f"/lost{number}", after[:100_000])
    for server in [*cluster.namenodes, *cluster.datanodes]:
        assert server.terminate() == 0
    postgresql.drop_database(database)
    postgresql.execute(f"CREATE DATABASE {database}")
    restore(url, backup)
    cluster.fsck()
    (statement,) = re.findall(r"`(UPDATE oastfs\.counter [^`]*)`", OPERATIONS.read_text())
    postgresql.execute(statement, database)
    for server in [*cluster.namenodes, *cluster.datanodes]:
        server.start()
    cluster.wait_for_namenodes()
    cluster.wait_for_datanodes(2)
    with cluster.connect(keep=False) as fs:
        assert sorted(entry.name for entry in fs.listdir("/")) == ["kept", "small"]
        assert fs.read_bytes("/kept") == before
        for number in range(20):
            fs.write_bytes(f"/new{number}", after[: BLOCK_BYTES + number])
        assert fs.read_bytes("/new7") == after[: BLOCK_BYTES + 7]
        assert fs.read_bytes("/small") == b"small"

    def settled() -> bool:
        space = fs.metadata.statfs(fs.caller)
        return bool(space.datanodes_live == 2 and not space.under_replicated)

    with cluster.connect(keep=False) as fs:
        wait_until(settled, "two replicas of every block", 60)
