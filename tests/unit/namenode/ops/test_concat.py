from __future__ import annotations

import pytest

from oastfs.core.errors import InvalidArgument, LeaseConflict, NoDatanodes, PermissionDenied
from oastfs.namenode.blocks import inline
from oastfs.namenode.namespace import Namespace
from oastfs.store.schema import BLOCK, REPLICA, Block
from oastfs.store.transaction import Transaction
from tests.harness.fleet import Fleet
from tests.unit.namenode.conftest import ALICE, BOB, ROOT, Clock, names
from tests.unit.namenode.ops.test_truncate import extents, write


def test_blocks_change_their_file(namespace: Namespace, fleet: Fleet) -> None:
    write(namespace, fleet, "/a", [4096, 100])
    write(namespace, fleet, "/b", [4096])
    write(namespace, fleet, "/c", [10])
    before = {block.block_id for path in ("/a", "/b", "/c") for block in namespace.open(ROOT, path).blocks}
    assert namespace.concat(ROOT, "/a", ["/b", "/c"]).length == 8302
    assert extents(namespace, "/a") == [(0, 4096), (4096, 100), (4196, 4096), (8292, 10)]
    assert {block.block_id for block in namespace.open(ROOT, "/a").blocks} == before
    assert names(namespace, "/") == ["a", "home", "tmp"]
    assert fleet.carry_out_all() == 0


def test_inline_content_is_joined(namespace: Namespace) -> None:
    for name in "abc":
        namespace.write_file(ROOT, f"/{name}", name.encode() * 100)
    namespace.concat(ROOT, "/a", ["/c", "/b"])
    assert namespace.open(ROOT, "/a").data == b"a" * 100 + b"c" * 100 + b"b" * 100
    assert names(namespace, "/") == ["a", "home", "tmp"]


@pytest.mark.parametrize(
    ("joined", "expected"),
    [
        (["inline", "blocks"], [(0, 600), (600, 4096), (4696, 100)]),
        (["blocks", "inline"], [(0, 4096), (4096, 100), (4196, 600)]),
        (["inline", "inline2"], [(0, 600), (600, 600)]),
        (["inline", "extended", "inline2"], [(0, 600), (600, 500), (600 + 9000, 600)]),
        (["empty", "blocks", "inline"], [(0, 4096), (4096, 100), (4196, 600)]),
    ],
)
def test_inline_content_becomes_blocks_among_blocks(
    namespace: Namespace, fleet: Fleet, joined: list[str], expected: list[tuple[int, int]]
) -> None:
    """Datanodes are told to fetch it; until they have it, the row is all that there is."""
    for name, data in (("inline", b"i" * 600), ("inline2", b"j" * 600), ("extended", b"e" * 500)):
        namespace.write_file(ROOT, f"/{name}", data)
    namespace.write_file(ROOT, "/empty", b"")
    namespace.truncate(ROOT, "/extended", 9000)
    write(namespace, fleet, "/blocks", [4096, 100])
    target, *sources = (f"/{name}" for name in joined)
    length = sum(namespace.stat(ROOT, f"/{name}").length for name in joined)
    assert namespace.concat(ROOT, target, sources).length == length
    assert extents(namespace, target) == expected
    spilled = {block.block_id: block for block in namespace.open(ROOT, target, 0, 1 << 40).blocks}
    for row in staged(namespace):
        assert fetch(namespace, fleet, row.block_id) == row.staged
        block = spilled[row.block_id]
        with pytest.raises(LeaseConflict, match="on its way"):
            namespace.update_block(ROOT, target, "mount", block.offset, block.block_id)
        for place in block.locations:
            fleet.by_storage(place.storage_id).ledger[block.block_id] = (1, block.length)
    fleet.carry_out_all()
    for row in staged(namespace):
        block = spilled[row.block_id]
        assert len(namespace.update_block(ROOT, target, "mount", block.offset, block.block_id).locations) == 2


def staged(namespace: Namespace) -> list[Block]:
    rows = namespace.store.read(lambda tx: [row for _, row in tx.scan(BLOCK)])
    return [row for row in rows if row.staged]


def fetch(namespace: Namespace, fleet: Fleet, block_id: int) -> bytes | None:
    """What a datanode gets that has to have the block."""
    context = namespace.context(ROOT)

    def read(tx: Transaction) -> bytes | None:
        for node in fleet.nodes:
            found = inline.read(tx, context, node.datanode_id, block_id)
            if found is not None:
                return found[0]
        return None

    return namespace.store.read(read)


@pytest.mark.parametrize("what", ["truncate", "recover"])
def test_bytes_that_no_datanode_has_yet_stay_in_the_row(
    namespace: Namespace, fleet: Fleet, what: str
) -> None:
    write(namespace, fleet, "/blocks", [4096])
    namespace.write_file(ROOT, "/inline", b"i" * 600)
    namespace.concat(ROOT, "/blocks", ["/inline"])
    if what == "truncate":
        namespace.truncate(ROOT, "/blocks", 4096 + 200)
    else:
        namespace.append(ROOT, "/blocks", "writer")
        assert not namespace.recover_lease(ROOT, "/blocks")
    (row,) = staged(namespace)
    assert row.staged == b"i" * 600 == fetch(namespace, fleet, row.block_id)
    for key, _ in namespace.store.read(lambda tx: list(tx.scan(REPLICA, (row.block_id,)))):
        fleet.by_storage(int(key[1])).ledger[row.block_id] = (1, 600)
    fleet.carry_out_all()
    assert namespace.recover_lease(ROOT, "/blocks")
    assert extents(namespace, "/blocks") == [(0, 4096), (4096, 200 if what == "truncate" else 600)]


def test_without_datanodes_blocks_and_inline_content_stay_apart(
    namespace: Namespace, fleet: Fleet, clock: Clock
) -> None:
    write(namespace, fleet, "/blocks", [4096])
    namespace.write_file(ROOT, "/inline", b"i" * 600)
    clock.advance(3600)
    with pytest.raises(NoDatanodes):
        namespace.concat(ROOT, "/blocks", ["/inline"])
    assert namespace.open(ROOT, "/inline").data == b"i" * 600


def test_what_is_refused_changes_nothing(namespace: Namespace, fleet: Fleet) -> None:
    write(namespace, fleet, "/blocks", [100])
    namespace.write_file(ALICE, "/home/alice/f", b"x")
    namespace.write_file(ROOT, "/inline", b"x" * 600)
    namespace.write_file(ROOT, "/inline2", b"x" * 600)
    namespace.create(ROOT, "/open", holder="w")
    for path, sources, error in (
        ("/inline", [], InvalidArgument),
        ("/inline", ["/inline"], InvalidArgument),
        ("/inline", ["/inline2", "/inline2"], InvalidArgument),
        ("/inline", ["/open"], LeaseConflict),
        ("/open", ["/inline"], LeaseConflict),
    ):
        with pytest.raises(error):
            namespace.concat(ROOT, path, sources)
    with pytest.raises(PermissionDenied):
        namespace.concat(BOB, "/home/alice/f", ["/inline"])
    assert names(namespace, "/") == ["blocks", "home", "inline", "inline2", "open", "tmp"]
