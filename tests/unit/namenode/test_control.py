"""The control server over real gRPC: registration, heartbeats, reports, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import grpc
import pytest

from oastfs.core.errors import Unreachable
from oastfs.namenode.control import ControlServer
from oastfs.namenode.jobs.replication import Replication
from oastfs.namenode.namespace import Namespace
from oastfs.namenode.report_slots import SILENT_SECONDS, SLOTS, ReportSlots
from oastfs.store.schema import DATANODE, DATANODE_COMMAND, REPLICA, STORAGE
from oastfs.wire.proto import control_pb2 as pb
from oastfs.wire.proto.control_pb2_grpc import ControlStub
from tests.unit.namenode.conftest import ROOT, Clock
from tests.unit.namenode.ops.test_truncate import rows

MIB = 1 << 20


@pytest.fixture
def server(namespace: Namespace) -> Iterator[ControlServer]:
    server = ControlServer(
        namespace, "127.0.0.1:0", heartbeat_interval_seconds=1.5, client_address=lambda: "nn:8020"
    )
    server.start()
    yield server
    server.stop(0)


@pytest.fixture
def stub(server: ControlServer) -> Iterator[ControlStub]:
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield ControlStub(channel)


def storage(uuid: str, **changes: Any) -> pb.StorageReport:
    fields = {"storage_type": "SSD", "capacity": 100 * MIB, "used": MIB, "remaining": 99 * MIB, **changes}
    return pb.StorageReport(**{"storage_uuid": uuid, **fields})


def registration(number: int = 1, **changes: Any) -> pb.RegisterRequest:
    fields: dict[str, Any] = {
        "datanode_uuid": f"dn-{number}",
        "host": f"host-{number}",
        "data_port": 9866,
        "control_port": 9867,
        "local_socket": "/run/dn.sock",
        "storages": [storage(f"st-{number}")],
        "version": "1",
        "http_port": 9864,
        **changes,
    }
    return pb.RegisterRequest(**fields)


def beat(registered: pb.RegisterResponse, number: int = 1, **changes: object) -> pb.HeartbeatRequest:
    return pb.HeartbeatRequest(
        datanode_id=registered.datanode_id,
        datanode_uuid=f"dn-{number}",
        storages=[storage(f"st-{number}", **changes)],
    )


def status_of(call: grpc.RpcError) -> grpc.StatusCode:
    return call.code()


def refused(stub_call: Callable[[Any], object], request: object) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        stub_call(request)
    return caught.value.code(), caught.value.details() or ""


def replica(registered: pb.RegisterResponse, block_id: int, stamp: int, length: int) -> pb.ReplicaReport:
    return pb.ReplicaReport(
        storage_id=registered.storage_ids[0], block_id=block_id, generation_stamp=stamp, length=length
    )


def report(stub: ControlStub, registered: pb.RegisterResponse, *batches: list[pb.ReplicaReport]) -> None:
    messages = [
        pb.BlockReportRequest(
            datanode_id=registered.datanode_id, storage_id=registered.storage_ids[0], replicas=batch
        )
        for batch in batches or [[]]
    ]
    stub.BlockReport(iter(messages))


def written(namespace: Namespace, length: int = 100, path: str = "/f") -> int:
    """A file of one block on every datanode that there is; the block's id."""
    from oastfs.core.types import BlockCommit

    namespace.create(ROOT, path, holder="w")
    block = namespace.add_block(ROOT, path, "w", 0)
    ids = tuple(one.storage_id for one in block.locations)
    namespace.complete(ROOT, path, "w", [BlockCommit(block.block_id, 1, 0, length, ids)])
    return block.block_id


# --- joining --------------------------------------------------------------------------------------


def test_registration(namespace: Namespace, stub: ControlStub) -> None:
    answer = stub.Register(registration(storages=[storage("a"), storage("b", capacity=MIB)]))
    assert answer.filesystem_id == namespace.info.filesystem_id
    assert answer.heartbeat_interval_seconds == 1.5 and len(answer.storage_ids) == 2
    again = stub.Register(registration(filesystem_id=answer.filesystem_id, storages=[storage("b")]))
    assert again.datanode_id == answer.datanode_id and again.storage_ids == answer.storage_ids[1:]
    lost = namespace.store.read(lambda tx: tx.get(STORAGE, (answer.storage_ids[0],)))
    assert lost is not None and lost.state == 1
    (row,) = namespace.datanodes(ROOT)
    assert (row.host, row.data_port, row.control_port, row.state) == ("host-1", 9866, 9867, "live")
    assert row.http_port == 9864
    assert (
        answer.client_address == stub.Heartbeat(beat(again, 1, storage_uuid="b")).client_address == "nn:8020"
    )


def test_a_foreign_datanode_is_refused(namespace: Namespace, stub: ControlStub) -> None:
    code, text = refused(stub.Register, registration(filesystem_id="another"))
    assert code == grpc.StatusCode.PERMISSION_DENIED and "belongs to filesystem another" in text
    assert rows(namespace, DATANODE) == 0


def test_a_copy_of_a_live_datanode_is_refused(namespace: Namespace, stub: ControlStub, clock: Clock) -> None:
    first = stub.Register(registration())
    code, text = refused(stub.Register, registration(host="elsewhere"))
    assert code == grpc.StatusCode.ALREADY_EXISTS and "copy" in text
    code, _ = refused(stub.Register, registration(2, storages=[storage("st-1")]))
    assert code == grpc.StatusCode.ALREADY_EXISTS
    clock.advance(31)
    moved = stub.Register(registration(host="elsewhere"))
    assert moved.datanode_id == first.datanode_id
    assert namespace.datanodes(ROOT)[0].host == "elsewhere"


@pytest.mark.parametrize(
    "changes",
    [
        {"datanode_uuid": ""},
        {"datanode_uuid": "x" * 201},
        {"datanode_uuid": "a\0b"},
        {"host": ""},
        {"data_port": 0},
        {"data_port": 65_536},
        {"control_port": 70_000},
        {"local_socket": "relative"},
        {"local_socket": "/" + "x" * 200},
        {"storages": []},
        {"storages": [storage("a"), storage("a")]},
        {"storages": [storage("")]},
        {"storages": [storage("a", capacity=1 << 63)]},
        {"storages": [storage("a", storage_type="x" * 33)]},
        {"storages": [storage("a", capacity=1 << 62), storage("b", capacity=1 << 62)]},
        {"storages": [storage(str(number)) for number in range(300)]},
    ],
)
def test_nonsense_is_refused(namespace: Namespace, stub: ControlStub, changes: dict[str, Any]) -> None:
    code, _ = refused(stub.Register, registration(**changes))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert rows(namespace, DATANODE) == rows(namespace, STORAGE) == 0


def test_a_port_in_use(namespace: Namespace, server: ControlServer) -> None:
    with pytest.raises(Unreachable, match="cannot listen"):
        ControlServer(namespace, f"127.0.0.1:{server.port}")


# --- heartbeats -----------------------------------------------------------------------------------


def test_heartbeats_are_written_now_and_then(namespace: Namespace, stub: ControlStub, clock: Clock) -> None:
    registered = stub.Register(registration())
    first = namespace.datanodes(ROOT)[0]
    clock.advance(1)
    stub.Heartbeat(beat(registered, remaining=50 * MIB))
    assert namespace.datanodes(ROOT)[0].last_heartbeat_ns == first.last_heartbeat_ns
    clock.advance(5)
    stub.Heartbeat(beat(registered, remaining=50 * MIB))
    later = namespace.datanodes(ROOT)[0]
    assert later.last_heartbeat_ns > first.last_heartbeat_ns and later.remaining == 50 * MIB
    stub.Heartbeat(beat(registered, failed=True))
    row = namespace.store.read(lambda tx: tx.get(STORAGE, (registered.storage_ids[0],)))
    assert row is not None and row.state == 1


def test_who_is_not_known_has_to_register(namespace: Namespace, stub: ControlStub) -> None:
    registered = stub.Register(registration())
    unknown = [
        pb.HeartbeatRequest(datanode_id=77, datanode_uuid="dn-1"),
        pb.HeartbeatRequest(datanode_id=registered.datanode_id, datanode_uuid="other"),
        pb.HeartbeatRequest(
            datanode_id=registered.datanode_id, datanode_uuid="dn-1", storages=[storage("new")]
        ),
    ]
    for request in unknown:
        assert refused(stub.Heartbeat, request)[0] == grpc.StatusCode.NOT_FOUND
    for number in (0, 1 << 63):
        request = pb.HeartbeatRequest(datanode_id=number, datanode_uuid="dn-1")
        assert refused(stub.Heartbeat, request)[0] == grpc.StatusCode.INVALID_ARGUMENT


def test_commands_come_with_heartbeats_until_done(
    namespace: Namespace, stub: ControlStub, clock: Clock
) -> None:
    registered = stub.Register(registration())
    block_id = written(namespace)
    namespace.truncate(ROOT, "/f", 0)
    (command,) = stub.Heartbeat(beat(registered)).commands
    assert command.delete.storage_id == registered.storage_ids[0]
    assert (command.delete.block.block_id, command.delete.block.generation_stamp) == (block_id, 1)
    assert not stub.Heartbeat(beat(registered)).commands
    clock.advance(61)
    assert len(stub.Heartbeat(beat(registered)).commands) == 1
    stub.BlocksChanged(
        pb.BlocksChangedRequest(
            datanode_id=registered.datanode_id, deleted=[replica(registered, block_id, 1, 100)]
        )
    )
    assert rows(namespace, DATANODE_COMMAND) == 0


def test_a_copy_names_its_targets(namespace: Namespace, stub: ControlStub, clock: Clock) -> None:
    first = stub.Register(registration(1))
    block_id = written(namespace)
    second = stub.Register(registration(2))
    Replication(namespace).run_all(clock())
    (command,) = stub.Heartbeat(beat(first)).commands
    (target,) = command.copy.targets
    assert (target.host, target.data_port, target.storage_uuid) == ("host-2", 9866, "st-2")
    assert (target.datanode_id, target.storage_id) == (second.datanode_id, second.storage_ids[0])
    assert command.copy.block.length == 100
    stub.BlocksChanged(
        pb.BlocksChangedRequest(datanode_id=second.datanode_id, received=[replica(second, block_id, 1, 100)])
    )
    assert len(namespace.open(ROOT, "/f").blocks[0].locations) == 2
    assert rows(namespace, DATANODE_COMMAND) == 0


@pytest.mark.parametrize(("stamp", "length"), [(1, 99), (0, 100), (2, 100)])
def test_a_copy_that_is_not_the_block(
    namespace: Namespace, stub: ControlStub, stamp: int, length: int
) -> None:
    """It was made before the block changed, or of something else: it does not become a replica."""
    stub.Register(registration(1))
    block_id = written(namespace)
    second = stub.Register(registration(2))
    stub.BlocksChanged(
        pb.BlocksChangedRequest(
            datanode_id=second.datanode_id, received=[replica(second, block_id, stamp, length)]
        )
    )
    assert rows(namespace, REPLICA) == 1
    commands = stub.Heartbeat(beat(second, 2)).commands
    assert [one.delete.block.block_id for one in commands] == [block_id]


def test_recovery(namespace: Namespace, stub: ControlStub) -> None:
    registered = stub.Register(registration())
    namespace.create(ROOT, "/f", holder="w")
    block = namespace.add_block(ROOT, "/f", "w", 0)
    assert not namespace.recover_lease(ROOT, "/f")
    (command,) = stub.Heartbeat(beat(registered)).commands
    assert command.recover.block.block_id == block.block_id
    assert command.recover.new_generation_stamp == 2
    stub.BlocksChanged(
        pb.BlocksChangedRequest(
            datanode_id=registered.datanode_id, recovered=[replica(registered, block.block_id, 2, 55)]
        )
    )
    assert namespace.recover_lease(ROOT, "/f") and namespace.stat(ROOT, "/f").length == 55


# --- changes and reports --------------------------------------------------------------------------


def test_corrupt_and_missing_replicas(namespace: Namespace, stub: ControlStub) -> None:
    registered = stub.Register(registration())
    bad, gone = written(namespace), written(namespace, path="/g")
    stub.BlocksChanged(
        pb.BlocksChangedRequest(
            datanode_id=registered.datanode_id,
            corrupt=[replica(registered, bad, 1, 100)],
            missing=[replica(registered, gone, 1, 100)],
        )
    )
    found = namespace.store.read(lambda tx: {int(key[0]): row.corrupt for key, row in tx.scan(REPLICA)})
    assert found == {bad: True}


@pytest.mark.parametrize("what", ["received", "deleted", "corrupt", "recovered", "missing"])
def test_changes_that_mean_nothing(namespace: Namespace, stub: ControlStub, what: str) -> None:
    registered = stub.Register(registration())
    other = stub.Register(registration(2))
    block_id = written(namespace)
    before = namespace.open(ROOT, "/f")

    def change(**fields: int) -> pb.BlocksChangedRequest:
        one = {"storage_id": registered.storage_ids[0], "block_id": 999_424, "generation_stamp": 1, **fields}
        request = pb.BlocksChangedRequest(datanode_id=registered.datanode_id)
        getattr(request, what).append(pb.ReplicaReport(**one))
        return request

    stub.BlocksChanged(change())
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    assert refused(stub.BlocksChanged, change(block_id=0))[0] == invalid
    assert refused(stub.BlocksChanged, change(length=1 << 63))[0] == invalid
    assert refused(stub.BlocksChanged, change(storage_id=77))[0] == invalid
    foreign = change(storage_id=other.storage_ids[0], block_id=block_id)
    assert refused(stub.BlocksChanged, foreign)[0] == invalid
    unknown = pb.BlocksChangedRequest(datanode_id=77)
    getattr(unknown, what).append(replica(registered, block_id, 1, 1))
    assert refused(stub.BlocksChanged, unknown)[0] == grpc.StatusCode.NOT_FOUND
    assert namespace.open(ROOT, "/f") == before


def test_a_report_that_agrees_changes_nothing(namespace: Namespace, stub: ControlStub) -> None:
    registered = stub.Register(registration())
    # Ids are never given twice, but need not rise.
    ids = sorted(written(namespace, path=f"/f{number}") for number in range(5))
    found = [replica(registered, block_id, 1, 100) for block_id in ids]
    report(stub, registered, found[:2], found[2:4], found[4:])
    assert not stub.Heartbeat(beat(registered)).commands
    assert rows(namespace, REPLICA) == 5


def test_a_report_settles_what_differs(namespace: Namespace, stub: ControlStub, clock: Clock) -> None:
    registered = stub.Register(registration())
    same, short, old, removed = (written(namespace, path=f"/f{number}") for number in range(4))
    update = namespace.update_block(ROOT, "/f2", "w", 0, old)
    from oastfs.core.types import BlockCommit

    commit = BlockCommit(old, update.generation_stamp, 0, 100, tuple(registered.storage_ids))
    namespace.complete(ROOT, "/f2", "w", [commit])
    namespace.truncate(ROOT, "/f3", 0)
    stub.Heartbeat(beat(registered))
    clock.advance(61)
    unknown = 1 << 60
    found = [(same, 1, 200), (short, 1, 99), (old, 1, 100), (removed, 1, 100), (unknown, 1, 1)]
    report(stub, registered, [replica(registered, *one) for one in sorted(found)])
    deletes = {one.delete.block.block_id for one in stub.Heartbeat(beat(registered)).commands}
    assert deletes == {old, removed}, "what the filesystem cannot have made is left alone"
    found_rows = namespace.store.read(lambda tx: {int(key[0]): row for key, row in tx.scan(REPLICA)})
    assert (found_rows[same].corrupt, found_rows[short].corrupt) == (False, True)
    assert found_rows[old].generation_stamp == 1


def test_what_a_report_lacks_is_lost_when_the_next_lacks_it_too(
    namespace: Namespace, stub: ControlStub, clock: Clock
) -> None:
    registered = stub.Register(registration())
    kept, lost = written(namespace), written(namespace, path="/g")
    found = [replica(registered, kept, 1, 100)]
    report(stub, registered, found)
    assert rows(namespace, REPLICA) == 2
    (command,) = stub.Heartbeat(beat(registered)).commands
    assert command.WhichOneof("kind") == "report_blocks"
    late = written(namespace, path="/h")
    report(stub, registered, found)
    remaining = namespace.store.read(lambda tx: {int(key[0]) for key, _ in tx.scan(REPLICA)})
    assert remaining == {kept, late}, "what was written after the report began is not lost"
    assert lost not in remaining


def test_a_block_that_is_being_written_is_left_alone(namespace: Namespace, stub: ControlStub) -> None:
    registered = stub.Register(registration())
    namespace.create(ROOT, "/f", holder="w")
    block = namespace.add_block(ROOT, "/f", "w", 0)
    report(stub, registered, [replica(registered, block.block_id, 1, 10)])
    report(stub, registered)
    report(stub, registered)
    assert not stub.Heartbeat(beat(registered)).commands
    assert rows(namespace, REPLICA) == rows(namespace, DATANODE_COMMAND) == 0


def test_reports_over_the_limit_are_put_off(namespace: Namespace, stub: ControlStub) -> None:
    """The limit is of all namenodes together: another one holds all slots here."""
    registered = stub.Register(registration())
    others = ReportSlots(namespace.store, lambda: 9)
    with ExitStack() as held:
        for _ in range(SLOTS):
            assert held.enter_context(others.one()) is not None
        assert held.enter_context(others.one()) is None
        with pytest.raises(grpc.RpcError) as caught:
            stub.BlockReport(report_of(registered))
        assert status_of(caught.value) is grpc.StatusCode.RESOURCE_EXHAUSTED
    for _ in range(2 * SLOTS):
        stub.BlockReport(report_of(registered))


def test_slots_of_a_namenode_that_died_are_free_after_a_while(namespace: Namespace) -> None:
    now = [0.0]
    dead = ReportSlots(namespace.store, lambda: 9, slots=1, clock=lambda: now[0])
    other = ReportSlots(namespace.store, lambda: 8, slots=1, clock=lambda: now[0])
    held = dead.one()
    slot = held.__enter__()
    assert slot is not None
    for _ in range(10):
        now[0] += 6.0
        slot.renew()
        with other.one() as found:
            assert found is None, "it is at work: each part of its report is a sign of life"
    now[0] += SILENT_SECONDS
    with other.one() as found:
        assert found is not None
    held.__exit__(None, None, None)
    with other.one() as found:
        assert found is not None


def report_of(registered: pb.RegisterResponse) -> Iterator[pb.BlockReportRequest]:
    """An empty report of the first storage."""
    yield pb.BlockReportRequest(
        datanode_id=registered.datanode_id, storage_id=registered.storage_ids[0], replicas=[]
    )


def test_reports_that_are_refused(namespace: Namespace, stub: ControlStub) -> None:
    registered = stub.Register(registration())
    other = stub.Register(registration(2))
    block_id = written(namespace)
    one = replica(registered, block_id, 1, 100)
    cases = [
        [],
        [pb.BlockReportRequest(datanode_id=registered.datanode_id, storage_id=other.storage_ids[0])],
        [_message(registered, [one, one])],
        [_message(registered, [one]), _message(registered, [one])],
        [_message(registered, [one]), _message(other, [])],
        [_message(registered, [replica(registered, 1 << 63, 1, 1)])],
    ]
    for messages in cases:
        code, _ = refused(stub.BlockReport, iter(messages))
        assert code == grpc.StatusCode.INVALID_ARGUMENT, messages
    assert rows(namespace, REPLICA) == 2


def _message(registered: pb.RegisterResponse, replicas: list[pb.ReplicaReport]) -> pb.BlockReportRequest:
    return pb.BlockReportRequest(
        datanode_id=registered.datanode_id, storage_id=registered.storage_ids[0], replicas=replicas
    )


def test_random_bytes_do_no_harm(server: ControlServer, stub: ControlStub) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        for method in ("Register", "Heartbeat", "BlocksChanged"):
            call = channel.unary_unary(f"/oastfs.control.Control/{method}", bytes, bytes)
            for garbage in (b"\xff" * 50, b"\x0a\xff\xff\xff\xff\x0f", b""):
                with pytest.raises(grpc.RpcError):
                    call(garbage)
    assert stub.Register(registration()).datanode_id
