from __future__ import annotations

from oastfs.core.types import Caller
from oastfs.namenode.jobs.replication import Replication
from oastfs.namenode.namespace import Namespace
from oastfs.store.schema import REPLICA
from tests.harness.fleet import Fleet
from tests.unit.namenode.conftest import BOB, ROOT, Clock
from tests.unit.namenode.ops.test_truncate import write


def corrupt(namespace: Namespace, block_id: int) -> list[int]:
    return namespace.store.read(
        lambda tx: [int(key[1]) for key, row in tx.scan(REPLICA, (block_id,)) if row.corrupt]
    )


def test_a_bad_replica_is_replaced(namespace: Namespace, fleet: Fleet, clock: Clock) -> None:
    write(namespace, fleet, "/f", [100])
    (block,) = namespace.open(ROOT, "/f").blocks
    bad, good = (one.storage_id for one in block.locations)
    namespace.report_bad_blocks(BOB, [(block.block_id, bad), (block.block_id, bad), (block.block_id, 99)])
    assert corrupt(namespace, block.block_id) == [bad]
    assert [one.storage_id for one in namespace.open(ROOT, "/f").blocks[0].locations] == [good]
    Replication(namespace).run_all(clock())
    fleet.carry_out_all()
    Replication(namespace).run_all(clock())
    fleet.carry_out_all()
    found = {one.storage_id for one in namespace.open(ROOT, "/f").blocks[0].locations}
    assert good in found and bad not in found and len(found) == 2
    assert block.block_id not in fleet.by_storage(bad).ledger


def test_the_last_replica_is_still_offered(namespace: Namespace, fleet: Fleet) -> None:
    write(namespace, fleet, "/f", [100])
    (block,) = namespace.open(ROOT, "/f").blocks
    namespace.report_bad_blocks(ROOT, [(block.block_id, one.storage_id) for one in block.locations])
    assert len(namespace.open(ROOT, "/f").blocks[0].locations) == 2


def test_who_cannot_read_is_not_believed(namespace: Namespace, fleet: Fleet) -> None:
    write(namespace, fleet, "/f", [100])
    namespace.chmod(ROOT, "/f", 0o600)
    (block,) = namespace.open(ROOT, "/f").blocks
    reports = [(block.block_id, block.locations[0].storage_id), (12345, 1)]
    namespace.report_bad_blocks(Caller("eve", 1003, (1003,)), reports)
    assert corrupt(namespace, block.block_id) == []
