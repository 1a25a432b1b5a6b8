"""A whole datanode and its namenodes: joining, reporting, obeying, and outliving their absence."""

from __future__ import annotations

import json
import os
import shutil
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from oastfs.core.errors import ForeignDatanode, InvalidArgument
from oastfs.datanode.http import FindNamenode
from oastfs.datanode.namenodes import NamenodeLink
from oastfs.datanode.reporter import report_messages
from oastfs.datanode.volume import Volume
from oastfs.wire.proto import control_pb2 as pb
from oastfs.wire.transfer import BlockId, Target
from tests.harness.ports import free_port
from tests.harness.waiting import wait_until
from tests.unit.datanode.namenode import RecordingNamenode
from tests.unit.datanode.peer import Pipeline, read_block, write_block
from tests.unit.datanode.running import Running

BLOCK = BlockId(1024, 5)
CONTENT = os.urandom(100_000)


def order(namenode: RecordingNamenode, **command: Any) -> None:
    namenode.order(pb.Command(**command))


def block(stamp: int = 5, length: int = 0) -> pb.BlockRef:
    return pb.BlockRef(block_id=1024, generation_stamp=stamp, length=length)


def test_joining_reports_storages_and_replicas(
    namenode: RecordingNamenode, run: Callable[..., Running], tmp_path: Path
) -> None:
    running = run(namenode, volumes=2, advertised_host="localhost", storage_type="SSD")
    wait_until(lambda: len(namenode.reports) >= 2, "a report of each storage")
    request = namenode.registrations[0]
    assert (request.filesystem_id, request.host) == ("", "localhost")
    assert request.data_port == running.datanode.server.data_port
    assert [one.storage_type for one in request.storages] == ["SSD", "SSD"]
    assert all(one.capacity >= one.remaining > 0 for one in request.storages)
    assert [report[0].storage_id for report in namenode.reports] == [101, 102]
    assert {volume.filesystem_id for volume in running.store.volumes} == {"fs-1"}


def test_a_report_comes_even_if_the_registration_is_quick(
    namenode: RecordingNamenode, run: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Quicker than the start of its link: the reporter has looked for namenodes by then."""
    start = NamenodeLink.start

    def start_slowly(link: NamenodeLink) -> None:
        start(link)
        wait_until(lambda: namenode.heartbeats, "the registration", interval_seconds=0.01)
        time.sleep(0.2)

    monkeypatch.setattr(NamenodeLink, "start", start_slowly)
    run(namenode)
    wait_until(lambda: namenode.reports, "a report")


def test_long_reports_come_in_batches_in_order(run: Callable[..., Running]) -> None:
    running = run()
    for number in (3, 1, 2):
        write_block([running.target], BlockId(number << 10, 5), b"x" * number)
    replicas = list(running.store.replicas()) * 8_000
    messages = list(report_messages(7, 101, replicas))
    assert [len(message.replicas) for message in messages] == [10_000, 10_000, 4_000]
    first = messages[0].replicas[:3]
    assert [(one.block_id >> 10, one.length) for one in first] == [(1, 1), (2, 2), (3, 3)]
    assert len(list(report_messages(7, 101, []))) == 1


def test_a_delete_command_is_carried_out_and_reported(
    namenode: RecordingNamenode, run: Callable[..., Running]
) -> None:
    running = run(namenode)
    write_block([running.target], BLOCK, CONTENT)
    order(namenode, delete=pb.Delete(storage_id=101, block=block()))
    wait_until(lambda: namenode.changes == [("deleted", 1024, 5, len(CONTENT))], "the deletion")
    assert running.store.find(1024) is None
    order(namenode, delete=pb.Delete(storage_id=101, block=block()))
    wait_until(lambda: len(namenode.changes) == 2, "the answer for a replica that is gone")
    assert namenode.changes[1] == ("deleted", 1024, 5, 0)


def test_a_delete_command_spares_a_newer_replica(
    namenode: RecordingNamenode, run: Callable[..., Running]
) -> None:
    running = run(namenode)
    write_block([running.target], BLOCK, CONTENT)
    order(namenode, delete=pb.Delete(storage_id=101, block=block(stamp=4)))
    beats = len(namenode.heartbeats)
    wait_until(lambda: len(namenode.heartbeats) > beats + 5, "heartbeats after the command")
    assert running.store.get(1024).final and namenode.changes == []


def test_a_copy_command_makes_a_replica_that_its_target_reports(
    namenode: RecordingNamenode, run: Callable[..., Running]
) -> None:
    source, other = run(namenode), run(namenode, name="other")
    write_block([source.target], BLOCK, CONTENT)
    namenode.changes.clear()
    target = pb.Target(
        host="127.0.0.1", data_port=other.target.data_port, storage_uuid=other.target.storage_uuid
    )

    def copied() -> bool:
        order(namenode, copy=pb.Copy(storage_id=101, block=block(), targets=[target]))
        return ("received", 1024, 5, len(CONTENT)) in namenode.changes

    # Both datanodes answer to this namenode; the one without the replica says so.
    wait_until(copied, "the copy to be reported")
    assert read_block(other.target, BLOCK, 0, len(CONTENT)) == CONTENT


def test_commands_for_replicas_that_are_not_here_are_answered(
    namenode: RecordingNamenode, run: Callable[..., Running]
) -> None:
    run(namenode)
    target = pb.Target(host="127.0.0.1", data_port=free_port())
    order(namenode, copy=pb.Copy(storage_id=101, block=block(), targets=[target]))
    wait_until(lambda: namenode.changes == [("missing", 1024, 5, 0)], "the answer to the copy command")
    order(namenode, recover=pb.Recover(storage_id=101, block=block(), new_generation_stamp=6))
    wait_until(lambda: len(namenode.changes) == 2, "the answer to the recover command")
    assert namenode.changes[1][0] == "missing"


def test_a_recover_command_settles_an_abandoned_block(
    namenode: RecordingNamenode, run: Callable[..., Running]
) -> None:
    running = run(namenode)
    pipeline = Pipeline([running.target], BLOCK)
    assert pipeline.put(0, CONTENT) == [0]
    order(namenode, recover=pb.Recover(storage_id=101, block=block(length=10), new_generation_stamp=9))
    wait_until(lambda: namenode.changes == [("recovered", 1024, 9, len(CONTENT))], "the recovery")
    assert running.store.get(1024, 9).final
    pipeline.close()


def test_a_recovery_that_would_lose_committed_bytes_reports_corruption(
    namenode: RecordingNamenode, run: Callable[..., Running]
) -> None:
    running = run(namenode)
    write_block([running.target], BLOCK, b"short")
    order(namenode, recover=pb.Recover(storage_id=101, block=block(length=10), new_generation_stamp=9))
    wait_until(lambda: ("corrupt", 1024, 5, 5) in namenode.changes, "the report")


def test_reports_are_sent_on_demand(namenode: RecordingNamenode, run: Callable[..., Running]) -> None:
    running = run(namenode)
    wait_until(lambda: len(namenode.reports) == 1, "the first report")
    write_block([running.target], BLOCK, CONTENT)
    order(namenode, report_blocks=pb.ReportBlocks())
    wait_until(lambda: len(namenode.reports) == 2, "the report that was asked for")
    (replica,) = namenode.reports[1][0].replicas
    assert (replica.block_id, replica.generation_stamp, replica.length) == (1024, 5, len(CONTENT))


def test_reports_are_repeated(namenode: RecordingNamenode, run: Callable[..., Running]) -> None:
    run(namenode, block_report_seconds=0.2)
    wait_until(lambda: len(namenode.reports) >= 3, "periodic reports")


@pytest.fixture
def three() -> Iterator[list[RecordingNamenode]]:
    namenodes = [RecordingNamenode() for _ in range(3)]
    for one in namenodes:
        one.start()
    yield namenodes
    for one in namenodes:
        one.stop()


def test_each_namenode_has_its_share_of_the_reports(
    three: list[RecordingNamenode], run: Callable[..., Running]
) -> None:
    run(*three, block_report_seconds=0.1)
    wait_until(lambda: sum(len(one.reports) for one in three) >= 12, "reports")
    counts = [len(one.reports) for one in three]
    assert max(counts) - min(counts) <= 2, counts


def test_a_start_is_one_report_however_many_namenodes_there_are(
    three: list[RecordingNamenode], run: Callable[..., Running]
) -> None:
    run(*three, volumes=2)
    wait_until(lambda: all(len(one.heartbeats) > 5 for one in three), "heartbeats to all")
    assert sorted(len(one.reports) for one in three) == [0, 0, 2]
    asking = min(three, key=lambda one: len(one.reports))
    order(asking, report_blocks=pb.ReportBlocks())
    wait_until(lambda: len(asking.reports) == 2, "a report to who asked for it")


def test_a_report_that_is_put_off_is_sent_later_and_goes_on_where_it_was(
    three: list[RecordingNamenode], run: Callable[..., Running]
) -> None:
    for one in three:
        one.reports_to_put_off = 1
    run(*three, volumes=3)
    wait_until(lambda: sum(len(one.reports) for one in three) == 3, "a report of each volume")
    beats = len(three[0].heartbeats)
    wait_until(lambda: len(three[0].heartbeats) > beats + 5, "heartbeats after the reports")
    told = [report[0].storage_id for one in three for report in one.reports]
    assert sorted(told) == [101, 102, 103]


def test_a_datanode_that_was_forgotten_registers_again(
    namenode: RecordingNamenode, run: Callable[..., Running]
) -> None:
    run(namenode)
    wait_until(lambda: len(namenode.heartbeats) > 2, "heartbeats")
    namenode.forgetful = True
    wait_until(lambda: len(namenode.registrations) == 2, "a second registration")
    assert namenode.registrations[1].filesystem_id == "fs-1"
    wait_until(lambda: len(namenode.reports) == 2, "a second report")


def test_a_datanode_outlives_its_namenodes(namenode: RecordingNamenode, run: Callable[..., Running]) -> None:
    """It starts without one, serves meanwhile, and tells what it could not tell before."""
    namenode.stop()
    running = run(namenode)
    write_block([running.target], BLOCK, CONTENT)
    running.store.mark_corrupt(running.store.get(1024))
    namenode.start()
    wait_until(lambda: ("corrupt", 1024, 5, len(CONTENT)) in namenode.changes, "the delayed report")
    namenode.stop()
    running.store.delete(1024, 5)
    write_block([running.target], BlockId(2048, 5), CONTENT)
    assert read_block(running.target, BlockId(2048, 5), 0, 10) == CONTENT[:10]
    beats = len(namenode.heartbeats)
    namenode.start()
    wait_until(lambda: len(namenode.heartbeats) > beats, "heartbeats to the namenode that came back")


def test_changes_go_to_another_namenode_when_one_is_down(
    namenode: RecordingNamenode, run: Callable[..., Running]
) -> None:
    other = RecordingNamenode()
    other.start()
    try:
        running = run(namenode, other)
        wait_until(lambda: namenode.heartbeats and other.heartbeats, "heartbeats to both")
        write_block([running.target], BLOCK, CONTENT)
        namenode.stop()
        running.store.mark_corrupt(running.store.get(1024))
        wait_until(lambda: ("corrupt", 1024, 5, len(CONTENT)) in other.changes, "the report to the other")
    finally:
        other.stop()


def test_a_foreign_filesystem_is_not_joined(
    namenode: RecordingNamenode, run: Callable[..., Running], tmp_path: Path
) -> None:
    volume = Volume.open(tmp_path / "dn" / "0", "datanode", 0)
    volume.adopt("another")
    volume.close()
    running = run(namenode)
    wait_until(lambda: running.faults, "the refusal")
    assert isinstance(running.faults[0], ForeignDatanode)
    assert running.store.volumes[0].filesystem_id == "another"
    assert namenode.registrations == []


def test_a_failed_volume_is_reported_and_the_other_serves(
    namenode: RecordingNamenode, run: Callable[..., Running]
) -> None:
    running = run(namenode, volumes=2, volume_check_seconds=0.1)
    first, second = running.store.volumes
    write_block([running.target], BLOCK, CONTENT)
    assert running.store.get(1024).volume is first
    shutil.rmtree(first.path)
    wait_until(
        lambda: any([one.failed for one in beat.storages] == [True, False] for beat in namenode.heartbeats),
        "the report",
    )
    assert running.store.find(1024) is None
    write_block([Target("127.0.0.1", running.target.data_port)], BlockId(2048, 5), CONTENT)
    assert running.store.get(2048).volume is second
    shutil.rmtree(second.path)
    wait_until(lambda: running.faults, "the end of a datanode without volumes")


def test_ports_in_use_are_one_line_errors(run: Callable[..., Running], tmp_path: Path) -> None:
    running = run(http_port=0)
    with pytest.raises(InvalidArgument, match=r"cannot listen on 127\.0\.0\.1"):
        run(name="second", data_port=running.target.data_port)
    # The refused one gave its volume back.
    Volume.open(tmp_path / "second" / "0", "x", 0).close()


def test_metrics_are_served(run: Callable[..., Running]) -> None:
    running = run(http_port=0)
    write_block([running.target], BLOCK, CONTENT)
    url = running.datanode.endpoints.split()[-1]
    with urllib.request.urlopen(url, timeout=5) as response:
        text = response.read().decode()
    assert f"oastfs_datanode_bytes_written_total {float(len(CONTENT))}" in text
    assert "oastfs_datanode_replicas 1.0" in text


class Told:
    """A part of the HTTP port that says where the namenode of that name is reached."""

    def add_routes(self, router: web.UrlDispatcher, find_namenode: FindNamenode) -> None:
        async def answer(request: web.Request) -> web.Response:
            return web.json_response(find_namenode(request.query["name"]))

        router.add_get("/where", answer)

    def close(self) -> None:
        """There is nothing to give back."""


def test_what_is_added_to_the_http_port_is_told_where_its_namenodes_are(
    namenode: RecordingNamenode, run: Callable[..., Running]
) -> None:
    part = Told()
    running = run(namenode, http_port=0, part=part)
    url = running.datanode.endpoints.split()[-1].replace("/metrics", "/where?name=")

    def where(name: str) -> str | None:
        with urllib.request.urlopen(url + name, timeout=5) as response:
            found: str | None = json.load(response)
            return found

    wait_until(lambda: where("namenode-1:8020") == "127.0.0.1:8020", "the registration")
    assert where("127.0.0.1:8020") is None
    namenode.client_address = "namenode-1:8021"  # it was started anew on another port
    wait_until(lambda: where("namenode-1:8021") == "127.0.0.1:8021", "news of the port")
    assert where("namenode-1:8020") is None
    assert namenode.registrations[-1].http_port == int(url.rpartition(":")[2].partition("/")[0])
