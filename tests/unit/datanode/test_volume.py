"""A volume knows whose it is, keeps others out, and notices when its disk is gone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from oastfs.core.errors import ForeignDatanode, InvalidArgument
from oastfs.datanode.config import DatanodeConfig
from oastfs.datanode.datanode import open_volumes
from oastfs.datanode.volume import VERSION_NAME, Volume


def content_of(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def test_a_new_volume_keeps_its_identity(tmp_path: Path) -> None:
    volume = Volume.open(tmp_path / "v", "datanode-1", 0)
    volume.adopt("fs-1")
    uuid = volume.storage_uuid
    volume.close()
    again = Volume.open(tmp_path / "v", "datanode-2", 0)
    assert (again.storage_uuid, again.datanode_uuid, again.filesystem_id) == (uuid, "datanode-1", "fs-1")
    again.close()


def test_a_volume_in_use_is_refused_with_its_process(tmp_path: Path) -> None:
    volume = Volume.open(tmp_path / "v", "datanode", 0)
    with pytest.raises(InvalidArgument, match=r"in use by another datanode \(process \d+\)"):
        Volume.open(tmp_path / "v", "datanode", 0)
    volume.close()
    Volume.open(tmp_path / "v", "datanode", 0).close()


def test_a_foreign_filesystem_changes_nothing(tmp_path: Path) -> None:
    volume = Volume.open(tmp_path / "v", "datanode", 0)
    volume.adopt("ours")
    before = content_of(tmp_path)
    with pytest.raises(ForeignDatanode, match="ours"):
        volume.adopt("theirs")
    assert content_of(tmp_path) == before
    volume.close()


def test_a_directory_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("data")
    with pytest.raises(InvalidArgument, match="not empty"):
        Volume.open(tmp_path, "datanode", 0)
    assert (tmp_path / "precious").read_text() == "data"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"layout": 1}', '{"layout": "x"}'])
def test_a_damaged_identity_is_refused_and_kept(tmp_path: Path, content: str) -> None:
    Volume.open(tmp_path / "v", "datanode", 0).close()
    (tmp_path / "v" / VERSION_NAME).write_text(content)
    with pytest.raises(InvalidArgument, match=r"damaged|does not know"):
        Volume.open(tmp_path / "v", "datanode", 0)
    assert (tmp_path / "v" / VERSION_NAME).read_text() == content


def test_a_later_layout_is_refused(tmp_path: Path) -> None:
    Volume.open(tmp_path / "v", "datanode", 0).close()
    version = tmp_path / "v" / VERSION_NAME
    version.write_text(json.dumps(json.loads(version.read_text()) | {"layout": 2}))
    with pytest.raises(InvalidArgument, match="does not know"):
        Volume.open(tmp_path / "v", "datanode", 0)


def test_a_file_in_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "v").write_text("")
    with pytest.raises(InvalidArgument, match="cannot be used"):
        Volume.open(tmp_path / "v", "datanode", 0)


def test_reserved_space_is_not_offered(tmp_path: Path) -> None:
    volume = Volume.open(tmp_path / "v", "datanode", 0)
    capacity, remaining = volume.space()
    assert 0 < remaining <= capacity
    volume.reserved_bytes = capacity
    assert volume.space() == (0, 0)
    volume.close()


def test_a_volume_whose_directory_is_gone_fails_for_good(tmp_path: Path) -> None:
    volume = Volume.open(tmp_path / "v", "datanode", 0)
    assert volume.check()
    shutil.move(tmp_path / "v", tmp_path / "away")
    with pytest.raises(FileNotFoundError), volume.guard():
        (tmp_path / "v" / "blocks" / "x").write_text("")
    assert volume.failed and volume.space() == (0, 0)
    shutil.move(tmp_path / "away", tmp_path / "v")
    assert not volume.check()
    volume.close()


def test_an_empty_disk_mounted_over_a_volume_is_noticed(tmp_path: Path) -> None:
    volume = Volume.open(tmp_path / "v", "datanode", 0)
    shutil.move(tmp_path / "v", tmp_path / "away")
    (tmp_path / "v").mkdir()
    assert not volume.check()
    volume.close()


def test_all_volumes_of_a_datanode_share_its_uuid(tmp_path: Path) -> None:
    config = DatanodeConfig((tmp_path / "a",))
    first = open_volumes(config)[0]
    first.adopt("fs")
    first.close()
    volumes = open_volumes(DatanodeConfig((tmp_path / "b", tmp_path / "a")))
    assert {volume.datanode_uuid for volume in volumes} == {first.datanode_uuid}
    assert {volume.filesystem_id for volume in volumes} == {"fs"}
    assert [volume.sharing for volume in volumes] == [2, 2]
    assert len({volume.storage_uuid for volume in volumes}) == 2
    for volume in volumes:
        volume.close()


def test_volumes_of_two_datanodes_or_filesystems_do_not_mix(tmp_path: Path) -> None:
    for name, filesystem in (("a", "fs-1"), ("b", "fs-1")):
        volume = open_volumes(DatanodeConfig((tmp_path / name,)))[0]
        volume.adopt(filesystem)
        volume.close()
    both = DatanodeConfig((tmp_path / "a", tmp_path / "b"))
    with pytest.raises(InvalidArgument, match="different datanodes"):
        open_volumes(both)
    one, other = ((tmp_path / name / VERSION_NAME) for name in "ab")
    identity = json.loads(one.read_text())
    other.write_text(json.dumps(identity | {"storage_uuid": "another", "filesystem_id": "fs-2"}))
    with pytest.raises(ForeignDatanode):
        open_volumes(both)
    other.write_text(json.dumps(identity))
    with pytest.raises(InvalidArgument, match="copy"):
        open_volumes(both)
    # Refusals gave the locks back.
    open_volumes(DatanodeConfig((tmp_path / "a",)))[0].close()


def test_no_volume_at_all_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="needs a directory"):
        open_volumes(DatanodeConfig(()))
