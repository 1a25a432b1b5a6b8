"""`oastfs quota`, `storagepolicy` and `safemode`, in direct mode on an embedded store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.cluster import Cluster, run_oastfs
from tests.harness.command import Command
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.system


@pytest.fixture
def oast(tmp_path: Path) -> Iterator[Command]:
    url = f"lmdb://{tmp_path / 'store'}"
    run_oastfs("format", url)
    yield Command(url, tmp_path)
    run_oastfs("fsck", url)


def test_quotas(oast: Command) -> None:
    oast("mkdir", "/d")
    assert "--names, --space or both" in oast.fails("quota", "set", "/d", code=2)
    oast("quota", "set", "--names", 2, "--space", "1K", "/d")
    oast("touch", "/d/a")
    assert "NameSpace quota (directories and files) of directory /d" in oast.fails("touch", "/d/b")
    assert "DiskSpace quota of /d is exceeded" in oast.fails("put", "-", "/d/a", stdin=b"x" * 1025)
    assert oast.lines("quota", "get", "/d")[1].split() == ["2", "2", "0", "1024", "/d"]
    oast("quota", "clear", "--names", "/d")
    oast("quota", "set", "--space", "10G", "--type", "ssd", "/d")
    (record,) = oast.json("quota", "get", "/d")
    assert record == {
        "path": "/d",
        "names": 2,
        "name_quota": None,
        "space": 0,
        "space_quota": 1024,
        "types": {"SSD": {"quota": 10 << 30, "space": 0}},
    }
    oast("quota", "clear", "/d")
    assert oast.lines("quota", "get", "-h", "/d")[1].split() == ["2", "none", "0", "none", "/d"]
    assert "Not a directory" in oast.fails("quota", "set", "--names", 5, "/d/a")


def test_storage_policies(oast: Command) -> None:
    oast("mkdir", "-p", "/d/e")
    assert [line.split()[0] for line in oast.lines("storagepolicy", "ls")][1:4] == [
        "PROVIDED",
        "COLD",
        "WARM",
    ]
    oast("storagepolicy", "set", "cold", "/d")
    assert oast.lines("storagepolicy", "get", "/d/e", "/")[1:] == ["COLD           /d/e", "HOT (default)  /"]
    assert [one["set"] for one in oast.json("storagepolicy", "get", "/d/e", "/")] == [True, False]
    oast("storagepolicy", "unset", "/d")
    assert oast.lines("storagepolicy", "get", "/d/e")[1].split() == ["HOT", "(default)", "/d/e"]
    assert "/none" in oast.fails("storagepolicy", "set", "HOT", "/none")


def test_safe_mode(oast: Command) -> None:
    oast("touch", "/f")
    assert oast("safemode", "get") == "safe mode is off\n"
    assert oast("safemode", "wait") == "safe mode is off\n"
    assert oast("safemode", "enter") == "safe mode is on\n"
    assert "Cannot create file/g. Name node is in safe mode." in oast.fails("touch", "/g")
    assert oast.lines("ls") == ["f"]
    assert any(line.strip().startswith("safe mode: on") for line in oast.lines("status"))
    assert oast.json("status")["safe_mode"] is True
    assert "still on" in oast.fails("safemode", "wait", "--seconds", 0.1)
    assert oast("safemode", "leave") == "safe mode is off\n"
    oast("touch", "/g")


def test_the_status_names_namenodes_that_come_and_go(tmp_path: Path) -> None:
    with Cluster(tmp_path / "cluster", namenodes=2, datanodes=0) as cluster:
        oast = Command(cluster.metadata_url, tmp_path)

        def listed() -> list[tuple[int, bool]]:
            return [(one["port"], one["live"]) for one in oast.json("status")["namenodes"]]

        first, second = cluster.namenodes
        expected = sorted([(first.port, True), (second.port, True)])
        wait_until(lambda: sorted(listed()) == expected, "both namenodes in the status", 20)
        assert second.terminate() == 0
        assert listed() == [(first.port, True)]
        second.start()
        wait_until(lambda: sorted(listed()) == expected, "the second namenode in the status again", 20)
        second.kill()
        wait_until(lambda: (second.port, False) in listed(), "the killed namenode to be called silent", 30)
        second.start()
