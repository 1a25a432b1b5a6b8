"""Hadoop's own ``hdfs fsck``, against what a real HDFS showed for the same files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from oastfs.client.filesystem import Filesystem
from tests.harness.cluster import HOST, Cluster
from tests.harness.java import Done, Jvm, tool_jars
from tests.harness.waiting import wait_until

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

TOOL = "org.apache.hadoop.hdfs.tools.DFSck"
# Written with a block size of 128 KiB: /fs/a and /fs/b once, /fs/d/rep3 with a replication of 3.
HEALTHY = """\
FSCK started by root (auth:SIMPLE) from /HOST for path /fs at DATE

/fs <dir>
/fs/a 300000 bytes, replicated: replication=1, 3 block(s):  OK
/fs/b 300000 bytes, replicated: replication=1, 3 block(s):  OK
/fs/d <dir>
/fs/d/rep3 100000 bytes, replicated: replication=3, 1 block(s):  Under replicated BLOCK. \
Target Replicas is 3 but found 1 live replica(s), 0 decommissioned replica(s), 0 decommissioning replica(s).

Status: HEALTHY
 Number of data-nodes:	1
 Number of racks:		1
 Total dirs:			2
 Total symlinks:		0

Replicated Blocks:
 Total size:	700000 B
 Total files:	3
 Total blocks (validated):	7 (avg. block size 100000 B)
 Minimally replicated blocks:	7 (100.0 %)
 Over-replicated blocks:	0 (0.0 %)
 Under-replicated blocks:	1 (14.285714 %)
 Mis-replicated blocks:		0 (0.0 %)
 Default replication factor:	1
 Average block replication:	1.0
 Missing blocks:		0
 Corrupt blocks:		0
 Missing replicas:		2 (22.222221 %)
 Blocks queued for replication:	0
"""
MISSING = """\
/fs/a 300000 bytes, replicated: replication=1, 3 block(s):  MISSING 1 blocks of total size 131072 B
0. BLOCK len=131072 Live_repl=1  [DatanodeInfoWithStorage[PLACE]]
1. BLOCK len=131072 MISSING!
2. BLOCK len=37856 Live_repl=1  [DatanodeInfoWithStorage[PLACE]]


Status: CORRUPT
"""


def evened(text: str) -> str:
    """Without what differs between runs."""
    text = re.sub(r"\b\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \w+ \d{4}", "DATE", text)
    text = re.sub(r"\b(BP-[\d.-]+|oastfs):blk_\d+_\d+", "BLOCK", text)
    text = re.sub(r"(?<=Storage\[)[^\]]+", "PLACE", text)
    return text.replace(HOST, "HOST")


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jvm]:
    jars = tool_jars()
    if not jars:
        pytest.skip("needs Hadoop's tools")
    with Jvm("tools", jars, tmp_path_factory.mktemp("jvm")) as running:
        yield running


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster whose blocks may be lost."""
    with Cluster(tmp_path / "cluster", datanode_options=("--block-report", "1")) as cluster:
        yield cluster


@pytest.fixture
def fsck(tools: Jvm, own: Cluster) -> Callable[..., Done]:
    namenode = own.namenodes[0]
    settings = {
        "fs.defaultFS": own.hdfs_url,
        "dfs.namenode.http-address": f"{HOST}:{namenode.http_port}",
    }
    return lambda *arguments: tools.run(TOOL, arguments, settings=settings)


@pytest.fixture
def fs(own: Cluster) -> Filesystem:
    found: Filesystem = own.connect()
    for path, size, replication in (("/fs/a", 300_000, 1), ("/fs/b", 300_000, 1), ("/fs/d/rep3", 100_000, 3)):
        found.makedirs(path.rpartition("/")[0])
        with found.open(path, "wb", block_size=131_072, replication=replication) as file:
            file.write(bytes(size))
    return found


def test_fsck_shows_what_hdfs_shows(fsck: Callable[..., Done], fs: Filesystem) -> None:
    done = fsck("/fs", "-files")
    assert evened(done.out).startswith(HEALTHY), done
    assert done.out.rstrip().endswith("The filesystem under path '/fs' is HEALTHY") and done.code == 0
    plain = fsck("/fs").out
    assert "\n\n/fs/d/rep3:  Under replicated" in plain and "/fs/a" not in plain
    fs.write_bytes("/fs/small", b"inline")
    done = fsck("/fs/small", "-files", "-blocks", "-locations")
    assert "/fs/small 6 bytes, replicated: replication=1, 1 block(s):  OK" in done.out
    assert "[metadata]" in done.out and done.out.rstrip().endswith("is HEALTHY")
    assert "does not exist" in fsck("/none").err + fsck("/none").out
    for refused in (("/fs", "-delete"), ("-blockId", "blk_1")):
        assert fsck(*refused).out.rstrip().endswith("FAILED")
    assert "has 0 CORRUPT files" in fsck("/", "-list-corruptfileblocks").out


def test_fsck_tells_of_lost_blocks(fsck: Callable[..., Done], fs: Filesystem, own: Cluster) -> None:
    opened = fs.metadata.open(fs.caller, "/fs/a", 0, 300_000)
    lost = opened.blocks[1].block_id
    found = [path for volume in own.datanodes[0].volumes for path in volume.rglob(f"blk_{lost}*")]
    assert len(found) == 2
    own.datanodes[0].terminate()
    for path in found:
        path.unlink()
    own.datanodes[0].start()
    wait_until(lambda: "MISSING" in fsck("/fs").out, "two reports without the block", 60)
    done = fsck("/fs/a", "-files", "-blocks", "-locations")
    assert MISSING in evened(done.out), done
    assert "  MISSING BLOCKS:\t1\n  MISSING SIZE:\t\t131072 B\n" in done.out and done.code == 1
    assert done.out.rstrip().endswith("The filesystem under path '/fs/a' is CORRUPT")
    listed = fsck("/", "-list-corruptfileblocks").out
    assert f"blk_{lost}\t/fs/a" in listed and "has 1 CORRUPT files" in listed
    fs.remove("/fs/a")
    assert fsck("/fs").out.rstrip().endswith("is HEALTHY")
