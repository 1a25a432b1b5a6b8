"""Every kind of damage is found, told as what it is, and mended when fsck says that it can be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from oastfs.namenode.filesystem import FormatOptions, format_store
from oastfs.namenode.fsck import DamagedError, repair
from oastfs.namenode.namespace import Namespace
from oastfs.store import open_store
from oastfs.store.schema import (
    CONTENT,
    COUNTER,
    DIRECTORY,
    PRINCIPAL_ID,
    PRINCIPAL_NAME,
    Content,
    Counter,
    Directory,
    PrincipalId,
    PrincipalName,
)
from oastfs.store.transaction import Transaction
from tests.unit.namenode.conftest import ROOT, Clock
from tests.unit.namenode.fsck.damages_of_blocks import someone
from tests.unit.namenode.fsck.damages_of_tree import blocks_promised
from tests.unit.namenode.fsck.whole import DAMAGES, NOWHERE, Whole
from tests.unit.namenode.ops.test_truncate import write


@pytest.fixture
def whole(tmp_path: Path, clock: Clock) -> Iterator[Whole]:
    store = open_store(f"lmdb://{tmp_path}/store", create=True)
    format_store(store, FormatOptions(block_size=4096, replication=2, inline_limit=1024))
    yield Whole(store, clock)
    store.close()


def suffer(whole: Whole, name: str) -> None:
    break_it = DAMAGES[name][2]
    whole.store.write(lambda tx: break_it(tx, whole))


def test_a_whole_filesystem_is_clean(whole: Whole) -> None:
    report = whole.check()
    report.raise_if_problems(health=True)
    assert report.clean and report.checked["inode"] == 11 and report.checked["block"] == 3
    assert repair(whole.store).repaired == []


@pytest.mark.parametrize("name", DAMAGES)
def test_damage(whole: Whole, name: str) -> None:
    code, mended, _ = DAMAGES[name]
    suffer(whole, name)
    report = whole.check()
    assert report.counts[code], f"found instead: {report.problems}"
    with pytest.raises(DamagedError, match=code):
        report.raise_if_problems()
    found = [problem for problem in report.problems if problem.code == code]
    assert all(problem.repairable == mended for problem in found), found
    after = whole.repair()
    if mended:
        after.raise_if_problems()
        assert code in {problem.code for problem in after.repaired}
    else:
        assert after.counts[code]


@pytest.mark.parametrize("name", DAMAGES)
def test_mending_keeps_everything_else(whole: Whole, name: str) -> None:
    """Files that the damage did not touch read as before."""
    whole.namespace.mkdirs(ROOT, "/apart")
    whole.namespace.write_file(ROOT, "/apart/file", b"content")
    write(whole.namespace, whole.fleet, "/apart/blocks", [4096, 7])
    before = whole.namespace.open(ROOT, "/apart/blocks").blocks
    whole.store.write(lambda tx: DAMAGES[name][2](tx, whole))
    whole.repair()
    if name in ("root_is_a_file", "datanode_lost"):
        return
    assert whole.namespace.open(ROOT, "/apart/file").data == b"content"
    assert whole.namespace.open(ROOT, "/apart/blocks").blocks == before


def test_what_lost_its_place_is_found_again(whole: Whole) -> None:
    for name in ("entry_in_nothing", "directory_entry_lost", "all_names_lost"):
        suffer(whole, name)
    whole.repair().raise_if_problems()
    names = {one.name for one in whole.namespace.listdir(ROOT, "/lost+found").entries}
    assert names == {f"#{whole.small}", f"#{whole.e}", f"#{whole.linked}"}
    assert whole.namespace.open(ROOT, f"/lost+found/#{whole.small}").data == b"0123456789"
    assert whole.namespace.open(ROOT, f"/lost+found/#{whole.linked}").data == b"linked"
    assert whole.namespace.stat(ROOT, f"/lost+found/#{whole.e}/f").is_directory


def test_content_is_never_given_up_for_blocks_that_are_not_there(whole: Whole) -> None:
    whole.store.write(lambda tx: blocks_promised(tx, whole))
    whole.repair().raise_if_problems()
    assert whole.namespace.open(ROOT, "/d/small").data == b"0123456789"


def test_many_damages_at_once(whole: Whole) -> None:
    chosen = ("place_lost", "subdirectories_miscounted", "links_miscounted", "owner_lost", "lease_lost",
              "writers_hidden", "replica_lost", "content_of_nothing", "principal_name_lost")  # fmt: skip
    for name in chosen:
        suffer(whole, name)
    assert {DAMAGES[name][0] for name in chosen} <= set(whole.check().counts)
    whole.repair().raise_if_problems()


def test_a_dead_datanode_is_no_damage(whole: Whole) -> None:
    whole.clock.advance(31)
    for node in whole.fleet.nodes:
        if node.storage_id != whole.storage_id:
            node.beat()
    report = whole.check()
    report.raise_if_problems()
    assert report.health_counts["under-replicated"] >= 1
    whole.clock.advance(31)
    report = whole.check()
    assert report.health_counts == {"missing": 2}
    with pytest.raises(DamagedError, match="missing"):
        report.raise_if_problems(health=True)


def test_bad_and_stale_replicas_are_told(whole: Whole) -> None:
    whole.namespace.report_bad_blocks(ROOT, [(whole.block_ids[0], whole.storage_id)])
    report = whole.check()
    assert report.health_counts == {"corrupt": 1, "under-replicated": 1}
    update = whole.namespace.update_block(ROOT, "/d/blocks", "w", 4096, whole.block_ids[1])
    kept = update.locations[0].storage_id
    whole.namespace.complete(ROOT, "/d/blocks", "w", [whole.fleet.write_block(update, 100, on={kept})])
    assert whole.check().health_counts["corrupt"] == 2
    whole.check().raise_if_problems()


def test_problems_are_counted_beyond_what_is_kept(whole: Whole, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oastfs.namenode.fsck.report.PROBLEMS_MAX", 5)

    def lose(tx: Transaction) -> None:
        for number in range(20):
            tx.put(CONTENT, (NOWHERE + number,), Content(b"x"))
            tx.put(DIRECTORY, (NOWHERE + number,), Directory(0, 0))

    whole.store.write(lose)
    report = whole.check()
    assert len(report.problems) == 5 and report.counts.total() == 40
    with pytest.raises(DamagedError, match="35 more"):
        report.raise_if_problems()


def test_principals_of_one_id(whole: Whole) -> None:
    """The name that the id leads to stays."""
    key, row = whole.store.read(someone)
    whole.store.write(lambda tx: tx.put(PRINCIPAL_ID, ("user", "aaa"), PrincipalId(row.id)))
    whole.repair().raise_if_problems()
    assert whole.store.read(lambda tx: tx.get(PRINCIPAL_ID, key)) == row
    named = whole.store.read(lambda tx: tx.get(PRINCIPAL_NAME, (key[0], row.id)))
    assert named == PrincipalName(str(key[1]))


@pytest.mark.parametrize("counter", ["inode", "block", "datanode", "storage"])
def test_counters(whole: Whole, counter: str) -> None:
    whole.store.write(lambda tx: tx.put(COUNTER, (counter,), Counter(1)))
    assert whole.check().counts == {"counter": 1}
    repair(whole.store)
    whole.check().raise_if_problems()
    whole.namespace = Namespace(whole.store, clock_ns=whole.clock)
    assert whole.namespace.write_file(ROOT, "/new", b"").inode_id > whole.open
