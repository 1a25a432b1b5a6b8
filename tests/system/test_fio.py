"""A large file under fio's own verification, on the mount: replication 2 over three datanodes."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.cluster import Cluster


def fio(path: Path, name: str, *options: str) -> None:
    """Run one fio job; AssertionError with its output if it fails or finds a wrong byte.

    It keeps what it needs to verify a later run in its working directory: the one above the mount.
    """
    arguments = ["fio", f"--name={name}", f"--filename={path}", "--ioengine=psync", *options]
    done = subprocess.run(
        arguments, cwd=path.parents[1], capture_output=True, text=True, timeout=1500, check=False
    )
    assert done.returncode == 0, f"{' '.join(arguments)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("megabytes", [256, pytest.param(2048, marks=pytest.mark.long)])
def test_written_read_overwritten(make_cluster: Callable[..., Cluster], megabytes: int) -> None:
    """Sequential write and verify; random overwrites of odd sizes, verified; a fresh mount agrees."""
    cluster = make_cluster(datanodes=3, replication=2, format_options=["--block-size", "67108864"])
    path = cluster.mount() / "file"
    size = f"--size={megabytes}m"
    fio(path, "write", "--rw=write", "--bs=1m", size, "--verify=crc32c", "--do_verify=1", "--end_fsync=1")
    overwrite = ["--rw=randwrite", "--bsrange=512-64k", "--bs_unaligned", size, "--randseed=7"]
    overwrite += [f"--io_size={megabytes // 8}m", "--verify=md5", "--fsync=500", "--verify_fatal=1"]
    fio(path, "overwrite", *overwrite, "--do_verify=1")
    cluster.mounts[0].terminate()
    again = cluster.mount(name="again") / "file"
    assert again.stat().st_size == megabytes << 20
    fio(again, "overwrite", *overwrite, "--verify_only")
