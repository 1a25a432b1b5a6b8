"""`oastfs fsck` as operators use it: what it prints, its exit codes, and that it mends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from oastfs.store import open_store
from oastfs.store.schema import INODE, PLACE, ROOT_ID
from tests.harness.cluster import Cluster, run_oastfs
from tests.harness.command import Command


@pytest.fixture
def damaged(metadata_url: str, tmp_path: Path) -> Command:
    """A filesystem whose file /dir/f has lost the row that says where it is."""
    oast = Command(metadata_url, tmp_path)
    oast("mkdir", "/dir")
    oast("put", "-", "/dir/f", stdin=b"content")
    store = open_store(metadata_url)
    directory = store.read(lambda tx: tx.get(INODE, (ROOT_ID, "dir")))
    assert directory is not None
    file = store.read(lambda tx: tx.get(INODE, (directory.id, "f")))
    assert file is not None
    store.write(lambda tx: tx.delete(PLACE, (file.id,)))
    store.close()
    return oast


def test_a_whole_filesystem_is_clean(metadata_url: str, tmp_path: Path) -> None:
    oast = Command(metadata_url, tmp_path)
    oast("put", "-", "/f", stdin=b"x")
    assert oast.lines("fsck")[-1].startswith("clean: ")
    assert oast.json("fsck", metadata_url)["clean"] is True


def test_damage_is_found_and_mended(damaged: Command) -> None:
    done = damaged.run("fsck")
    assert done.returncode == 1
    assert b"/dir/f" in done.stdout
    assert b"--repair mends 2 of them" in done.stdout
    text = damaged("fsck", "--repair")
    assert "repaired: " in text
    assert text.splitlines()[-1].startswith("clean: ")
    assert damaged("cat", "/dir/f") == "content"
    assert damaged.json("fsck")["counts"] == {}


def test_missing_replicas_are_told_and_fail_if_asked(
    make_cluster: Callable[..., Cluster], tmp_path: Path
) -> None:
    cluster = make_cluster()
    oast = Command(cluster.url, tmp_path)
    oast("put", "-", "/large", stdin=b"x" * 100_000)
    oast("setrep", 2, "/large")
    done = run_oastfs("fsck", cluster.metadata_url)
    assert "/large" in done.stdout
    assert "1 blocks lack replicas" in done.stdout
    assert run_oastfs("fsck", cluster.metadata_url, "--strict", check=False).returncode == 1
    oast("setrep", 1, "/large")
    run_oastfs("fsck", cluster.metadata_url, "--strict")


def test_it_reads_stores_only(damaged: Command) -> None:
    assert "metadata store" in damaged.fails("fsck", "oastfs://localhost:8020")
    damaged.environment["OASTFS_URL"] = "oastfs://localhost:8020"
    assert "lmdb://" in damaged.fails("fsck", code=2)
    assert "/nowhere" in damaged.fails("fsck", "lmdb:///nowhere")
