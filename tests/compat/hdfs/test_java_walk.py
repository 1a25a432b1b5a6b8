"""Random calls of Hadoop's Java client on OastFS and on a real HDFS, whose address is OASTFS_REFERENCE_HDFS.

What each call answers or raises must be the same, and in the end both hold the same files. The seed is
printed; OASTFS_WALK_SEED replays one, OASTFS_WALK_STEPS says how long. The reference is as for ``record``.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compat.hdfs.java_client import JavaClient
from tests.compat.hdfs.walk import ROOT, USERS, Call, Walk
from tests.harness.cluster import HOST, Cluster
from tests.harness.java import Jvm, client_jars

REFERENCE = os.environ.get("OASTFS_REFERENCE_HDFS", "").removeprefix("hdfs://").rstrip("/")
STEPS = int(os.environ.get("OASTFS_WALK_STEPS", "2000"))

pytestmark = [
    pytest.mark.long,
    pytest.mark.system,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not (REFERENCE and client_jars()), reason="needs Java and OASTFS_REFERENCE_HDFS"),
]


class Side:
    """One of the two filesystems, for all users."""

    def __init__(self, jvm: Jvm, address: str) -> None:
        self._clients = {user: JavaClient(jvm, address, user) for user in USERS}
        self.do(("root", "delete", (ROOT, True)))
        # Its group is in the texts of what is denied.
        self.do(("root", "chown", ("/", "root", "supergroup")))
        self.do(("root", "mkdirs", (ROOT, 0o777, True)))
        self.do(("root", "chmod", (ROOT, 0o777)))
        self.do(("root", "chown", (ROOT, "root", "supergroup")))

    def do(self, call: Call) -> str:
        """What a call answers."""
        user, verb, arguments = call
        return self._clients[user].do(verb, *arguments)

    def close(self) -> None:
        for client in self._clients.values():
            client.close()


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Side, Side]]:
    directory: Path = tmp_path_factory.mktemp("walk")
    with (
        Cluster(directory / "cluster", replication=1) as cluster,
        Jvm("clients", client_jars(), directory) as jvm,
    ):
        made = Side(jvm, f"{HOST}:{cluster.namenodes[0].port}"), Side(jvm, REFERENCE)
        yield made
        for side in made:
            side.close()


def test_same_answers(sides: tuple[Side, Side]) -> None:
    seed = int(os.environ.get("OASTFS_WALK_SEED") or random.SystemRandom().randrange(10**9))
    print(f"seed {seed}")
    walk = Walk(seed)
    trace: list[str] = []
    for step in range(STEPS):
        call = walk.next()
        ours, theirs = (side.do(call) for side in sides)
        trace.append(f"{step}: {told(call)} -> {theirs[:120]}")
        recent = "\n".join(trace[-40:])
        assert ours == theirs, f"seed {seed}, step {step}: {told(call)}\n{recent}"
    for path in walk_tree(sides[0], ROOT):
        for verb in ("status", "acl", "xattrs", "read"):
            ours, theirs = (side.do(("root", verb, (path,))) for side in sides)
            assert ours == theirs, f"seed {seed}, in the end: {verb} {path}"


def told(call: Call) -> str:
    """A call as text, contents cut short."""
    user, verb, arguments = call
    short = [f"<{len(one)} bytes>" if isinstance(one, bytes) else repr(one) for one in arguments]
    return f"{user}: {verb}({', '.join(short)})"


def walk_tree(side: Side, path: str) -> Iterator[str]:
    """Every path below one, and itself."""
    yield path
    for name in "abcd":
        below = f"{path}/{name}"
        if side.do(("root", "status", (below,))) != "None":
            yield from walk_tree(side, below)
