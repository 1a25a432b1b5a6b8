"""mount(8), /etc/fstab and ``mount.oastfs``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.cluster import Cluster
from tests.harness.private_mounts import run_with_helper

pytestmark = pytest.mark.system

SECONDS_MAX = 90


def test_a_line_of_fstab(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        place = tmp_path / "place"
        place.mkdir()
        fstab = tmp_path / "fstab"
        fstab.write_text(f"{cluster.url} {place} oastfs allow_other,cache_seconds=0,_netdev,nofail 0 0\n")
        script = f"""
            mount -T {fstab} {place}
            echo content > {place}/file
            mount -a -T {fstab}
            findmnt -n -o SOURCE,FSTYPE {place}
            umount {place}
            mount -t oastfs -o ro {cluster.metadata_url} {place}
            cat {place}/file
            touch {place}/other || echo refused
            umount {place}
            """
        done = run_with_helper(script, tmp_path, SECONDS_MAX)
        assert done.returncode == 0, done.stderr
        assert done.stdout.split("\n") == [f"{cluster.url} fuse.oastfs", "content", "refused", ""]
        assert "Read-only file system" in done.stderr


def test_what_cannot_be_mounted(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    mount = f"mount -t oastfs lmdb://{tmp_path}/nothing {place}"
    done = run_with_helper(mount, tmp_path, SECONDS_MAX)
    assert done.returncode == 32
    assert "there is no store" in done.stderr
    done = run_with_helper(f"{mount} -o acl", tmp_path, SECONDS_MAX)
    assert done.returncode == 1
    assert "option acl is not supported" in done.stderr
    assert not place.is_mount()
