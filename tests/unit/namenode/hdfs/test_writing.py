from __future__ import annotations

import grp
import pwd
from typing import Any

import pytest

from oastfs.core.errors import OastError
from oastfs.core.types import Flag
from oastfs.namenode import registry
from oastfs.namenode.jobs.leases import LeaseExpiry
from oastfs.namenode.namespace import Namespace
from oastfs.wire.proto import hdfs_pb2 as types
from tests.harness.fleet import Fleet
from tests.unit.namenode.conftest import ALICE, BOB, ROOT, Clock
from tests.unit.namenode.hdfs.conftest import Hdfs


def fill(fleet: Fleet, block: types.LocatedBlock, length: int) -> types.ExtendedBlock:
    """What a client does with a block: its datanodes have ``length`` bytes; the block as it reports it."""
    for uuid in block.storageIDs:
        node = next(node for node in fleet.nodes if node.report.uuid == uuid)
        node.ledger[block.b.blockId] = (block.b.generationStamp, length)
    written = types.ExtendedBlock()
    written.CopyFrom(block.b)
    written.numBytes = length
    return written


def add_block(hdfs: Hdfs, path: str, **fields: Any) -> types.LocatedBlock:
    answer = hdfs.call("addBlock", src=path, clientName="writer", **fields)
    block: types.LocatedBlock = answer.block
    return block


def write(hdfs: Hdfs, fleet: Fleet, path: str, lengths: list[int]) -> None:
    """A closed file with blocks of these lengths."""
    hdfs.create(path)
    previous: dict[str, Any] = {}
    for length in lengths:
        previous = {"previous": fill(fleet, add_block(hdfs, path, **previous), length)}
    last = {"last": previous["previous"]} if previous else {}
    assert hdfs.call("complete", src=path, clientName="writer", **last).result


def extents(found: types.LocatedBlocks) -> list[tuple[int, int]]:
    return [(block.offset, block.b.numBytes) for block in found.blocks]


def java_class(error: pytest.ExceptionInfo[OastError]) -> str:
    return error.value.java_class.rpartition(".")[2]


def test_a_file_of_several_blocks(hdfs: Hdfs, fleet: Fleet) -> None:
    write(hdfs, fleet, "/f", [4096, 4096, 100])
    found = hdfs.locations("/f")
    assert found.fileLength == 8292 and not found.underConstruction and found.isLastBlockComplete
    assert [(block.offset, block.b.numBytes) for block in found.blocks] == [
        (0, 4096),
        (4096, 4096),
        (8192, 100),
    ]
    assert all(
        len(block.locs) == len(block.storageIDs) == len(block.storageTypes) == 2 for block in found.blocks
    )
    assert found.lastBlock == found.blocks[-1]
    part = hdfs.locations("/f", 4096, 1)
    assert [block.offset for block in part.blocks] == [4096] and part.lastBlock.offset == 8192


def test_what_a_reader_sees_of_a_file_that_is_being_written(hdfs: Hdfs, fleet: Fleet) -> None:
    hdfs.create("/f")
    empty = hdfs.locations("/f")
    assert empty.underConstruction and not empty.isLastBlockComplete and not empty.HasField("lastBlock")
    first = fill(fleet, add_block(hdfs, "/f"), 4096)
    second = add_block(hdfs, "/f", previous=first)
    found = hdfs.locations("/f")
    assert found.fileLength == 4096 and found.underConstruction and not found.isLastBlockComplete
    assert [block.offset for block in found.blocks] == [0]
    assert found.lastBlock.b.blockId == second.b.blockId and found.lastBlock.offset == 4096
    assert len(found.lastBlock.locs) == 2
    assert not hdfs.call("isFileClosed", src="/f").result
    hdfs.call("complete", src="/f", clientName="writer", last=fill(fleet, second, 7))
    assert hdfs.call("isFileClosed", src="/f").result
    assert hdfs.locations("/f").fileLength == 4103


def test_append_goes_on_in_the_last_block(hdfs: Hdfs, fleet: Fleet) -> None:
    write(hdfs, fleet, "/f", [4096, 100])
    answer = hdfs.call("append", src="/f", clientName="writer", flag=4)
    assert answer.block.b.numBytes == 100 and answer.block.offset == 4096
    assert answer.stat.block_replication == 2 == len(answer.block.locs)
    updated = hdfs.call("updateBlockForPipeline", block=answer.block.b, clientName="writer").block
    assert updated.b.generationStamp > answer.block.b.generationStamp
    reading = hdfs.locations("/f")
    assert reading.fileLength == 4096 and reading.lastBlock.b.numBytes == 100
    hdfs.call(
        "updatePipeline",
        clientName="writer",
        oldBlock=answer.block.b,
        newBlock=updated.b,
        newNodes=[place.id for place in answer.block.locs],
        storageIDs=list(answer.block.storageIDs),
    )
    answer.block.b.generationStamp = updated.b.generationStamp
    hdfs.call("complete", src="/f", clientName="writer", last=fill(fleet, answer.block, 300))
    assert hdfs.locations("/f").fileLength == 4396


def test_append_with_an_unchanged_stamp(hdfs: Hdfs, fleet: Fleet) -> None:
    write(hdfs, fleet, "/f", [100])
    answer = hdfs.call("append", src="/f", clientName="writer", flag=4)
    hdfs.call("complete", src="/f", clientName="writer", last=fill(fleet, answer.block, 150))
    assert hdfs.locations("/f").fileLength == 150


def test_append_in_a_new_block(hdfs: Hdfs, fleet: Fleet) -> None:
    write(hdfs, fleet, "/f", [100])
    answer = hdfs.call("append", src="/f", clientName="writer", flag=4 | 0x20)
    assert not answer.HasField("block")
    block = add_block(hdfs, "/f")
    assert block.offset == 100
    hdfs.call("complete", src="/f", clientName="writer", last=fill(fleet, block, 50))
    assert [(block.offset, block.b.numBytes) for block in hdfs.locations("/f").blocks] == [
        (0, 100),
        (100, 50),
    ]


def test_a_pipeline_that_loses_a_datanode(hdfs: Hdfs, fleet: Fleet, namespace: Namespace) -> None:
    hdfs.create("/f")
    block = add_block(hdfs, "/f")
    updated = hdfs.call("updateBlockForPipeline", block=block.b, clientName="writer").block
    kept = list(block.storageIDs)[:1]
    hdfs.call(
        "updatePipeline",
        clientName="writer",
        oldBlock=block.b,
        newBlock=updated.b,
        newNodes=[place.id for place in block.locs[:1]],
        storageIDs=kept,
    )
    del block.storageIDs[1:]
    block.b.generationStamp = updated.b.generationStamp
    hdfs.call("complete", src="/f", clientName="writer", last=fill(fleet, block, 1000))
    found = hdfs.locations("/f")
    assert list(found.blocks[0].storageIDs) == kept
    assert namespace.statfs(ROOT).under_replicated == 1


def test_another_datanode_for_a_pipeline(hdfs: Hdfs, fleet: Fleet) -> None:
    file_id = hdfs.create("/f")
    block = add_block(hdfs, "/f")
    answer = hdfs.call(
        "getAdditionalDatanode",
        src="/f",
        blk=block.b,
        existings=[block.locs[0]],
        excludes=[block.locs[1]],
        numAdditionalNodes=1,
        clientName="writer",
        existingStorageUuids=[block.storageIDs[0]],
        fileId=file_id,
    )
    more = answer.block
    assert more.storageIDs[0] == block.storageIDs[0] and len(more.locs) == 2
    assert more.storageIDs[1] not in block.storageIDs


def test_a_block_that_is_abandoned(hdfs: Hdfs, fleet: Fleet) -> None:
    file_id = hdfs.create("/f")
    block = add_block(hdfs, "/f", fileId=file_id)
    hdfs.call("abandonBlock", b=block.b, src="/f", holder="writer", fileId=file_id)
    again = add_block(hdfs, "/f", excludeNodes=[block.locs[0]])
    assert again.b.blockId != block.b.blockId and block.storageIDs[0] not in again.storageIDs
    hdfs.call("complete", src="/f", clientName="writer", last=fill(fleet, again, 5))
    assert hdfs.locations("/f").fileLength == 5


def test_too_few_datanodes(hdfs: Hdfs) -> None:
    hdfs.create("/f")
    with pytest.raises(OastError, match="could only be written to 0 of the 1 minReplication nodes"):
        add_block(hdfs, "/f")


def test_complete_is_true_again(hdfs: Hdfs, fleet: Fleet) -> None:
    hdfs.create("/f")
    last = fill(fleet, add_block(hdfs, "/f"), 100)
    for _ in range(2):
        assert hdfs.call("complete", src="/f", clientName="writer", last=last).result
    with pytest.raises(OastError) as error:
        last.numBytes = 99
        hdfs.call("complete", src="/f", clientName="writer", last=last)
    assert java_class(error) == "LeaseExpiredException"


def test_a_file_that_was_renamed_while_written(hdfs: Hdfs, fleet: Fleet) -> None:
    file_id = hdfs.create("/f")
    block = add_block(hdfs, "/f", fileId=file_id)
    hdfs.call("rename", src="/f", dst="/g")
    last = fill(fleet, block, 100)
    assert hdfs.call("complete", src="/f", clientName="writer", fileId=file_id, last=last).result
    assert hdfs.locations("/g").fileLength == 100


def test_who_else_writes(hdfs: Hdfs, fleet: Fleet, clock: Clock) -> None:
    hdfs.create("/f")
    for method, fields in (
        ("append", {"clientName": "other"}),
        ("append", {"clientName": "writer"}),
        ("truncate", {"clientName": "other", "newLength": 0}),
    ):
        with pytest.raises(OastError) as error:
            hdfs.call(method, src="/f", **fields)
        assert java_class(error) == "AlreadyBeingCreatedException"
    with pytest.raises(OastError) as error:
        hdfs.create("/f", "other")
    assert java_class(error) == "AlreadyBeingCreatedException"
    for client in ("other", ""):
        with pytest.raises(OastError) as error:
            hdfs.call("addBlock", src="/f", clientName=client)
        assert java_class(error) == "LeaseExpiredException"
    clock.advance(61)
    fleet.beat_all()
    assert hdfs.call("append", src="/f", clientName="other").stat.length == 0


def test_overwriting_makes_another_file(hdfs: Hdfs, fleet: Fleet, namespace: Namespace) -> None:
    write(hdfs, fleet, "/tmp/f", [100])
    namespace.chmod(ROOT, "/tmp/f", 0o666)
    before = namespace.stat(ROOT, "/tmp/f")
    with pytest.raises(OastError) as error:
        hdfs.create("/tmp/f")
    assert java_class(error) == "FileAlreadyExistsException"
    # /tmp is sticky, which keeps her from removing it; HDFS lets who may write a file put another there.
    hdfs.create("/tmp/f", caller=ALICE, createFlag=3)
    assert namespace.stat(ROOT, "/tmp/f").uid == ALICE.uid
    with pytest.raises(OastError) as error:
        hdfs.create("/tmp/f", caller=BOB, createFlag=3)
    assert java_class(error) == "AccessControlException"
    hdfs.create("/tmp/f", createFlag=3)
    after = namespace.stat(ROOT, "/tmp/f")
    assert after.inode_id != before.inode_id and after.mode & 0o777 == 0o644 and after.length == 0


def test_group_of_the_directory(hdfs: Hdfs, namespace: Namespace) -> None:
    namespace.chown(ROOT, "/home/alice", -1, 2000)
    hdfs.create("/home/alice/f", caller=ALICE)
    status = namespace.stat(ROOT, "/home/alice/f")
    assert (status.uid, status.gid) == (ALICE.uid, 2000)


def test_denials_are_worded_as_hdfs_words_them(hdfs: Hdfs) -> None:
    with pytest.raises(OastError) as error:
        hdfs.create("/home/alice/f", caller=BOB)
    assert java_class(error) == "AccessControlException"
    # Numbers, where this machine has no names for them.
    owner = next((one.pw_name for one in pwd.getpwall() if one.pw_uid == ALICE.uid), str(ALICE.uid))
    group = next((one.gr_name for one in grp.getgrall() if one.gr_gid == ALICE.gid), str(ALICE.gid))
    assert error.value.message == (
        f'Permission denied: user=bob, access=WRITE, inode="/home/alice":{owner}:{group}:drwxr-xr-x'
    )


def test_parents(hdfs: Hdfs) -> None:
    with pytest.raises(OastError) as error:
        hdfs.create("/none/f", createParent=False)
    assert java_class(error) == "FileNotFoundException"
    hdfs.create("/none/f")
    with pytest.raises(OastError) as error:
        hdfs.create("/none/f/g")
    assert java_class(error) == "ParentNotDirectoryException"
    with pytest.raises(OastError) as error:
        hdfs.create("/none")
    assert java_class(error) == "FileAlreadyExistsException"


def test_favoured_datanodes(hdfs: Hdfs, fleet: Fleet) -> None:
    hdfs.create("/f")
    favored = fleet.nodes[-1]
    block = add_block(hdfs, "/f", favoredNodes=[f"{favored.host}:{favored.data_port}", "nowhere:1"])
    assert block.storageIDs[0] == favored.report.uuid and len(block.storageIDs) == 2
    hdfs.call("abandonBlock", b=block.b, src="/f", holder="writer")


def test_fsync_notes_the_length(hdfs: Hdfs, fleet: Fleet, namespace: Namespace) -> None:
    file_id = hdfs.create("/f")
    block = add_block(hdfs, "/f")
    fill(fleet, block, 100)
    hdfs.call("fsync", src="/f", client="writer", lastBlockLength=100, fileId=file_id)
    assert namespace.stat(ROOT, "/f").length == 100
    found = hdfs.locations("/f")
    assert found.underConstruction and found.lastBlock.b.numBytes == 100 and not found.isLastBlockComplete
    hdfs.call("complete", src="/f", clientName="writer", last=fill(fleet, block, 250))
    assert namespace.stat(ROOT, "/f").length == 250


def test_a_writer_that_is_gone(hdfs: Hdfs, fleet: Fleet, namespace: Namespace, clock: Clock) -> None:
    hdfs.create("/f")
    fill(fleet, add_block(hdfs, "/f"), 70)
    assert not hdfs.call("recoverLease", src="/f", clientName="other").result
    with pytest.raises(OastError) as error:
        hdfs.call("append", src="/f", clientName="other")
    assert java_class(error) == "RecoveryInProgressException"
    fleet.carry_out_all()
    assert hdfs.call("recoverLease", src="/f", clientName="other").result
    assert namespace.stat(ROOT, "/f").length == 70
    hdfs.create("/g")
    clock.advance(3601)
    fleet.beat_all()
    LeaseExpiry(namespace).run_all(clock())
    assert hdfs.call("isFileClosed", src="/g").result


def test_truncate(hdfs: Hdfs, fleet: Fleet) -> None:
    write(hdfs, fleet, "/f", [4096, 100])
    assert hdfs.call("truncate", src="/f", newLength=4100, clientName="writer").result
    assert hdfs.locations("/f").fileLength == 4100
    with pytest.raises(OastError, match="Cannot truncate to a larger file size"):
        hdfs.call("truncate", src="/f", newLength=5000, clientName="writer")


def test_inline_files_and_holes_are_blocks_of_the_namenode(hdfs: Hdfs, namespace: Namespace) -> None:
    namespace.write_file(ROOT, "/small", b"x" * 100)
    found = hdfs.locations("/small")
    (block,) = found.blocks
    assert block.b.numBytes == 100 == found.fileLength and found.isLastBlockComplete
    assert (block.locs[0].id.ipAddr, block.locs[0].id.xferPort) == ("127.0.0.1", 8020)
    namespace.truncate(ROOT, "/small", 5000)
    found = hdfs.locations("/small")
    assert extents(found) == [(0, 100), (100, 4900)]
    assert found.lastBlock.offset == 100
    assert not namespace.stat(ROOT, "/small").flags & Flag.BLOCKS


def test_holes_between_blocks(hdfs: Hdfs, fleet: Fleet, namespace: Namespace) -> None:
    namespace.create(ROOT, "/sparse", holder="w")
    commits = [fleet.write_block(namespace.add_block(ROOT, "/sparse", "w", at), 100) for at in (4096, 12288)]
    namespace.complete(ROOT, "/sparse", "w", commits, 20000)
    found = hdfs.locations("/sparse")
    assert extents(found) == [(0, 4096), (4096, 100), (4196, 8092), (12288, 100), (12388, 7612)]
    at_end = hdfs.locations("/sparse", 5000, 10)
    assert [block.offset for block in at_end.blocks] == [5000] and at_end.lastBlock.offset == 19999


def test_a_stamp_that_no_pipeline_was_set_up_with(hdfs: Hdfs, fleet: Fleet) -> None:
    """Clients in Go ask for one after each block, and name the one that the block was written with."""
    hdfs.create("/f")
    previous: dict[str, Any] = {}
    for length in (4096, 100):
        written = fill(fleet, add_block(hdfs, "/f", **previous), length)
        hdfs.call("updateBlockForPipeline", block=written, clientName="writer")
        previous = {"previous": written}
    assert hdfs.call("complete", src="/f", clientName="writer", last=previous["previous"]).result
    found = hdfs.locations("/f")
    assert extents(found) == [(0, 4096), (4096, 100)]
    assert [block.b.generationStamp for block in found.blocks] == [1, 1]


def test_near_replicas_come_first(hdfs: Hdfs, fleet: Fleet) -> None:
    for number, node in enumerate(fleet.nodes):
        node.rack = f"/row/rack{min(number, 1)}"
        node.register()
    near = fleet.add(host="127.0.0.1")
    near.rack = "/row/rack1"
    near.register()
    write(hdfs, fleet, "/f", [100])
    (block,) = hdfs.locations("/f").blocks
    assert block.locs[0].id.datanodeUuid == near.uuid and block.locs[0].location == "/row/rack1"
    report = hdfs.call("getDatanodeReport", type=2).di
    assert [one.location for one in report] == ["/row/rack0", "/row/rack1", "/row/rack1", "/row/rack1"]


def test_other_namenodes_serve_inline_files_too(hdfs: Hdfs, namespace: Namespace, clock: Clock) -> None:
    def register(host: str, port: int) -> None:
        context = namespace.context(ROOT)
        namespace.store.write(lambda tx: registry.register(tx, context, host, registry.Ports(port, 0, 0)))

    namespace.write_file(ROOT, "/small", b"x")
    for host, port in (("127.0.0.1", 8020), ("10.0.0.7", 8020), ("0.0.0.0", 8022)):
        register(host, port)
    clock.advance(2)
    (block,) = hdfs.locations("/small").blocks
    places = [(place.id.ipAddr, place.id.xferPort) for place in block.locs]
    assert places == [("127.0.0.1", 8020), ("10.0.0.7", 8020)]
    assert len(set(block.storageIDs)) == 2
    clock.advance(60)
    assert len(hdfs.locations("/small").blocks[0].locs) == 1


def test_what_was_cut_off_does_not_come_back(hdfs: Hdfs, fleet: Fleet, namespace: Namespace) -> None:
    """Replicas hold it until a pipeline has been set up on them, and readers of open files ask replicas."""
    write(hdfs, fleet, "/f", [4096, 100])
    hdfs.call("truncate", src="/f", newLength=4100, clientName="writer")
    block = hdfs.call("append", src="/f", clientName="writer", flag=4).block
    updated = hdfs.call("updateBlockForPipeline", block=block.b, clientName="writer").block
    found = hdfs.locations("/f")
    assert found.fileLength == 4100 and found.isLastBlockComplete and extents(found) == [(0, 4096), (4096, 4)]
    hdfs.call(
        "updatePipeline",
        clientName="writer",
        oldBlock=block.b,
        newBlock=updated.b,
        newNodes=[place.id for place in block.locs],
        storageIDs=list(block.storageIDs),
    )
    found = hdfs.locations("/f")
    assert found.fileLength == 4096 and not found.isLastBlockComplete
    block.b.generationStamp = updated.b.generationStamp
    hdfs.call("complete", src="/f", clientName="writer", last=fill(fleet, block, 10))
    assert hdfs.locations("/f").fileLength == 4106


def test_what_was_synced_under_the_stamp_that_was_there_is_kept(
    hdfs: Hdfs, fleet: Fleet, namespace: Namespace
) -> None:
    """hdfs-native appends without asking for a stamp, and tells no namenode that it has synced."""
    write(hdfs, fleet, "/f", [100])
    block = hdfs.call("append", src="/f", clientName="writer", flag=4).block
    late = fill(fleet, block, 130)
    assert not hdfs.call("recoverLease", src="/f", clientName="other").result
    fleet.carry_out_all()
    assert hdfs.call("recoverLease", src="/f", clientName="other").result
    assert hdfs.locations("/f").fileLength == 130
    stamp = hdfs.locations("/f").blocks[0].b.generationStamp
    assert stamp > block.b.generationStamp, "so the datanodes refuse the pipeline"
    calls: dict[str, dict[str, Any]] = {
        "complete": {"clientName": "writer", "last": late},
        "fsync": {"client": "writer", "lastBlockLength": 140},
        "addBlock": {"clientName": "writer", "previous": late},
    }
    for name, fields in calls.items():
        with pytest.raises(OastError) as error:
            hdfs.call(name, src="/f", **fields)
        assert java_class(error) == "LeaseExpiredException"
    late.generationStamp = stamp
    assert hdfs.call("complete", src="/f", clientName="writer", last=late).result, "as it is"


def test_a_silent_writer_is_recovered_before_another_appends(
    hdfs: Hdfs, fleet: Fleet, namespace: Namespace, clock: Clock
) -> None:
    write(hdfs, fleet, "/f", [100])
    fill(fleet, hdfs.call("append", src="/f", clientName="writer", flag=4).block, 130)
    clock.advance(61)
    fleet.beat_all()
    with pytest.raises(OastError, match="recover"):
        hdfs.call("append", src="/f", clientName="other", flag=4)
    assert not hdfs.call("recoverLease", src="/f", clientName="other").result
    fleet.carry_out_all()
    assert hdfs.call("append", src="/f", clientName="other", flag=4).block.b.numBytes == 130


def test_leases_are_recovered_from_writers_that_share_the_file(
    hdfs: Hdfs, fleet: Fleet, namespace: Namespace
) -> None:
    """Mounts and the like, whose pipelines may be open though all is committed."""
    write(hdfs, fleet, "/f", [100])
    (block,) = namespace.open(ROOT, "/f").blocks
    update = namespace.update_block(ROOT, "/f", "mount", 0, block.block_id)
    namespace.commit(ROOT, "/f", "mount", [fleet.write_block(update, 200)])
    with pytest.raises(OastError, match="being written by 'mount'"):
        hdfs.call("append", src="/f", clientName="other", flag=4)
    assert hdfs.call("recoverLease", BOB, src="/f", clientName="other").result, "for him it is closed"
    assert not hdfs.call("recoverLease", src="/f", clientName="other").result
    fleet.carry_out_all()
    assert hdfs.call("recoverLease", src="/f", clientName="other").result
    taken = hdfs.call("append", src="/f", clientName="other", flag=4).block.b
    assert taken.numBytes == 200 and taken.generationStamp > update.generation_stamp
    with pytest.raises(OastError, match="does not write it"):
        namespace.commit(ROOT, "/f", "mount", [fleet.write_block(update, 300)])


@pytest.mark.parametrize("new_stamp", [True, False])
def test_what_was_cut_off_does_not_come_back_by_recovery(
    hdfs: Hdfs, fleet: Fleet, namespace: Namespace, new_stamp: bool
) -> None:
    write(hdfs, fleet, "/f", [100])
    for length in (40, 30):
        hdfs.call("truncate", src="/f", newLength=length, clientName="writer")
        block = hdfs.call("append", src="/f", clientName="writer", flag=4).block
        if new_stamp:
            hdfs.call("updateBlockForPipeline", block=block.b, clientName="writer")
        hdfs.call("recoverLease", src="/f", clientName="other")
        fleet.carry_out_all()
        assert hdfs.call("recoverLease", src="/f", clientName="other").result
        assert namespace.stat(ROOT, "/f").length == length
        assert extents(hdfs.locations("/f")) == [(0, length)]
