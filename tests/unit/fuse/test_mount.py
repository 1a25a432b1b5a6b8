"""How a mount is prepared, and what keeps it from beginning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oastfs.core.errors import InvalidArgument, NotADirectory, Unsupported
from oastfs.fuse import mount
from oastfs.fuse.kernel import device
from oastfs.fuse.options import MountConfig


def test_a_missing_mount_point_is_made(tmp_path: Path) -> None:
    mount.prepare_mountpoint(str(tmp_path / "a" / "b"))
    assert (tmp_path / "a" / "b").is_dir()
    mount.prepare_mountpoint(str(tmp_path / "a" / "b"))


def test_a_mount_point_is_a_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectory, match="must be a directory"):
        mount.prepare_mountpoint(str(tmp_path / "file"))


def test_without_a_device_one_line_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "DEVICE", tmp_path / "no-fuse")
    with pytest.raises(Unsupported, match="--device /dev/fuse --cap-add SYS_ADMIN") as error:
        device.open_mounted(MountConfig("lmdb:///x", str(tmp_path)), 4096)
    assert "\n" not in str(error.value)


def test_unmounting_what_is_not_mounted(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="nothing is mounted there"):
        mount.unmount(tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [{"binding": "pyfuse"}, {"attribute_seconds": -1}, {"entry_seconds": 1e9}, {"workers": 0}],
)
def test_options_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        MountConfig("lmdb:///x", "/mnt", **wrong).check()


def test_options_as_they_should_be() -> None:
    config = MountConfig("oastfs://host:8020", "/mnt", allow_other=False)
    config.check()
    assert config.source == "oastfs://host:8020"
    assert config.shared is False
