"""Ranges of rows: order, bounds, limits, indexes, and the transaction's own writes among them."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from oastfs.core.errors import TransactionMisuse
from oastfs.store.schema import (
    BLOCK,
    DATANODE_COMMAND,
    INODE,
    LEASE,
    LINK,
    OPEN_FILE,
    REPLICA,
    RETRY,
    Block,
    DatanodeCommand,
    Lease,
    Link,
    OpenFile,
    Replica,
    RetryEntry,
)
from oastfs.store.table import Index
from oastfs.store.transaction import Store, Transaction
from tests.contract.rows import fill, inode, names

BIGGEST = (1 << 63) - 1
BY_STORAGE = REPLICA.indexes[0]
BY_HOLDER = OPEN_FILE.indexes[0]


def test_rows_come_in_key_order_with_their_values(store: Store) -> None:
    fill(store, 1, ["b", "a", "é", "B", "aa", "z", "\U0001f600", "\ufffd", ""])
    rows = store.read(lambda tx: list(tx.scan(INODE, (1,))))
    expected = sorted(["b", "a", "é", "B", "aa", "z", "\U0001f600", "\ufffd", ""], key=str.encode)
    assert [key for key, _ in rows] == [(1, name) for name in expected]
    assert dict(rows)[1, "aa"] == inode(4)


def test_prefix_takes_whole_columns(store: Store) -> None:
    for directory in (0, 1, 2, 255, 256, BIGGEST):
        fill(store, directory, [f"in{directory}"])
    for directory in (0, 1, 2, 255, 256, BIGGEST):
        assert names(store, directory) == [f"in{directory}"]
        assert names(store, directory, reverse=True) == [f"in{directory}"]
    assert names(store, 3) == []
    everything = store.read(lambda tx: [key[0] for key, _ in tx.scan(INODE)])
    assert everything == [0, 1, 2, 255, 256, BIGGEST]


def test_text_columns_are_not_prefixes_of_each_other(store: Store) -> None:
    def write(tx: Transaction) -> None:
        for holder in ("a", "ab", "a\x01", ""):
            for call in (1, 2):
                tx.put(RETRY, (5, holder, call), RetryEntry(b"", 0))
            tx.put(LEASE, (holder,), Lease(1))

    store.write(write)
    found = store.read(lambda tx: [key for key, _ in tx.scan(RETRY, (5, "a"))])
    assert found == [(5, "a", 1), (5, "a", 2)]
    everything = store.read(lambda tx: [key[1] for key, _ in tx.scan(RETRY, (5,))])
    assert everything == ["", "", "a", "a", "a\x01", "a\x01", "ab", "ab"]
    assert store.read(lambda tx: [key for key, _ in tx.scan(LEASE, ("a",))]) == [("a",)]
    assert store.read(lambda tx: [key[0] for key, _ in tx.scan(LEASE)]) == ["", "a", "a\x01", "ab"]


def test_whole_key_as_prefix(store: Store) -> None:
    fill(store, 1, ["a", "ab"])
    assert store.read(lambda tx: [key for key, _ in tx.scan(INODE, (1, "a"))]) == [(1, "a")]
    assert store.read(lambda tx: list(tx.scan(INODE, (1, "")))) == []


NAMES = [f"n{number:02}" for number in range(10)]


@pytest.mark.parametrize("after", [None, "n00", "n04", "n045", "n09", "", "z", "a"])
@pytest.mark.parametrize("limit", [None, 0, 1, 3, 100])
@pytest.mark.parametrize("reverse", [False, True])
def test_after_limit_reverse(store: Store, after: str | None, limit: int | None, reverse: bool) -> None:
    fill(store, 1, NAMES)
    fill(store, 0, ["before"])
    fill(store, 2, ["behind"])
    key = None if after is None else (after,)
    expected = _expected(NAMES, after, limit, reverse)
    assert names(store, 1, after=key, limit=limit, reverse=reverse) == expected


@pytest.mark.parametrize("after", [None, "n00", "n04", "n045", "n09", "", "z"])
@pytest.mark.parametrize("limit", [None, 0, 1, 3, 100])
@pytest.mark.parametrize("reverse", [False, True])
def test_scan_merges_own_writes(store: Store, after: str | None, limit: int | None, reverse: bool) -> None:
    fill(store, 1, NAMES)

    def write(tx: Transaction) -> list[tuple[Any, Any]]:
        tx.put(INODE, (0, "elsewhere"), inode(1))
        tx.put(INODE, (2, "elsewhere"), inode(1))
        for name in ("a", "n005", "n045", "n99"):
            tx.put(INODE, (1, name), inode(77))
        tx.put(INODE, (1, "n03"), inode(88))
        for name in ("n00", "n02", "n05", "n09", "n05x", "n99"):
            tx.delete(INODE, (1, name))
        key = None if after is None else (after,)
        return list(tx.scan(INODE, (1,), key, limit, reverse))

    left = sorted({*NAMES, "a", "n005", "n045"} - {"n00", "n02", "n05", "n09"})
    rows = store.write(write)
    assert [key[1] for key, _ in rows] == _expected(left, after, limit, reverse)
    values = {"a": 77, "n005": 77, "n045": 77, "n03": 88}
    assert all(row.id == values.get(key[1], row.id) for key, row in rows)


def _expected(ordered: list[str], after: str | None, limit: int | None, reverse: bool) -> list[str]:
    wanted = list(reversed(ordered)) if reverse else ordered
    if after is not None:
        wanted = [name for name in wanted if (name < after if reverse else name > after)]
    return wanted[:limit]


def test_after_with_fewer_columns_skips_all_that_begin_with_it(store: Store) -> None:
    keys = [(1, parent, name) for parent in (5, 6, 7) for name in ("a", "b")]
    store.write(lambda tx: [tx.put(LINK, key, Link()) for key in keys])

    def scan(tx: Transaction, **how: Any) -> list[Any]:
        return [key for key, _ in tx.scan(LINK, (1,), **how)]

    for run in (store.read, store.write):
        assert run(lambda tx: scan(tx, after=(5,))) == keys[2:]
        assert run(lambda tx: scan(tx, after=(6, "a"))) == keys[3:]
        assert run(lambda tx: scan(tx, after=(7,), reverse=True)) == list(reversed(keys[:4]))

    def staged(tx: Transaction) -> tuple[list[Any], list[Any]]:
        tx.put(LINK, (1, 6, "aa"), Link())
        return scan(tx, after=(5,)), scan(tx, after=(6,), reverse=True)

    forward, backward = store.write(staged)
    assert forward == [(1, 6, "a"), (1, 6, "aa"), (1, 6, "b"), *keys[4:]]
    assert backward == [(1, 5, "b"), (1, 5, "a")]


def test_numbers_sort_by_value(store: Store) -> None:
    offsets = [0, 1, 255, 256, 65535, 1 << 32, BIGGEST]
    store.write(lambda tx: [tx.put(BLOCK, (1, at), Block(at, 1, 1)) for at in reversed(offsets)])
    found = store.read(lambda tx: [key[1] for key, _ in tx.scan(BLOCK, (1,))])
    assert found == offsets
    before = store.read(lambda tx: next(tx.scan(BLOCK, (1,), after=(256,), reverse=True)))
    assert before[0] == (1, 255)


def test_rows_may_be_changed_while_they_are_scanned(store: Store) -> None:
    fill(store, 1, NAMES)

    def write(tx: Transaction) -> list[str]:
        seen = []
        for key, _ in tx.scan(INODE, (1,)):
            tx.delete(INODE, key)
            tx.put(INODE, (2, str(key[1])), inode(1))
            seen.append(str(key[1]))
        return seen

    assert store.write(write) == NAMES
    assert names(store, 1) == []
    assert names(store, 2) == NAMES


# --- indexes ----------------------------------------------------------------------------------------


def replicas(tx: Transaction, **how: Any) -> list[Any]:
    return [(key, row.generation_stamp) for key, row in tx.scan(REPLICA, index=BY_STORAGE, **how)]


def test_index_gives_the_tables_keys_and_values(store: Store) -> None:
    def write(tx: Transaction) -> None:
        for block in (1, 2, 3):
            for storage in (10, 20):
                tx.put(REPLICA, (block, storage), Replica(block * 100 + storage))

    store.write(write)
    assert store.read(lambda tx: replicas(tx, prefix=(20,))) == [
        ((1, 20), 120),
        ((2, 20), 220),
        ((3, 20), 320),
    ]
    assert store.read(lambda tx: replicas(tx, prefix=(20,), after=(1,), limit=1)) == [((2, 20), 220)]
    assert store.read(lambda tx: replicas(tx, prefix=(10,), reverse=True, limit=1)) == [((3, 10), 310)]
    assert [key for key, _ in store.read(replicas)] == [
        (1, 10), (2, 10), (3, 10), (1, 20), (2, 20), (3, 20),
    ]  # fmt: skip


def test_index_follows_puts_and_deletes(store: Store) -> None:
    store.write(lambda tx: tx.put(REPLICA, (1, 10), Replica(1)))
    store.write(lambda tx: tx.put(REPLICA, (1, 10), Replica(2)))
    assert store.read(replicas) == [((1, 10), 2)]
    store.write(lambda tx: tx.delete(REPLICA, (1, 10)))
    store.write(lambda tx: tx.delete(REPLICA, (9, 10)))
    assert store.read(replicas) == []


def test_index_scan_merges_own_writes(store: Store) -> None:
    store.write(lambda tx: [tx.put(REPLICA, (block, 10), Replica(1)) for block in (1, 3, 5)])

    def write(tx: Transaction) -> tuple[list[Any], list[Any]]:
        tx.put(REPLICA, (2, 10), Replica(7))
        tx.put(REPLICA, (4, 11), Replica(7))
        tx.put(REPLICA, (5, 10), Replica(8))
        tx.delete(REPLICA, (1, 10))
        return replicas(tx, prefix=(10,)), replicas(tx, prefix=(10,), limit=2, reverse=True)

    forward, backward = store.write(write)
    assert forward == [((2, 10), 7), ((3, 10), 1), ((5, 10), 8)]
    assert backward == [((5, 10), 8), ((3, 10), 1)]


def test_index_that_begins_with_a_text(store: Store) -> None:
    def write(tx: Transaction) -> None:
        for number, holder in [(1, "b"), (2, "a"), (3, "ab"), (4, "a"), (BIGGEST, "")]:
            tx.put(OPEN_FILE, (number, holder), OpenFile(True, number))

    store.write(write)

    def scan(tx: Transaction, **how: Any) -> list[Any]:
        return [key for key, _ in tx.scan(OPEN_FILE, index=BY_HOLDER, **how)]

    assert store.read(lambda tx: scan(tx, prefix=("a",))) == [(2, "a"), (4, "a")]
    assert store.read(scan) == [(BIGGEST, ""), (2, "a"), (4, "a"), (3, "ab"), (1, "b")]
    assert store.read(lambda tx: scan(tx, after=("a", 2))) == [(4, "a"), (3, "ab"), (1, "b")]
    assert store.read(lambda tx: scan(tx, after=("a",))) == [(3, "ab"), (1, "b")]


def test_three_numbers(store: Store) -> None:
    keys = [(node, block, kind) for node in (1, 2) for block in (1, 300) for kind in (1, 2)]
    store.write(lambda tx: [tx.put(DATANODE_COMMAND, key, DatanodeCommand(1, 1)) for key in keys])
    assert store.read(lambda tx: [key for key, _ in tx.scan(DATANODE_COMMAND)]) == keys
    assert store.read(lambda tx: [key for key, _ in tx.scan(DATANODE_COMMAND, (2, 300))]) == keys[6:]


@pytest.mark.parametrize("through", ["read", "write"])
def test_foreign_index_and_bad_bounds_are_misuse(store: Store, through: str) -> None:
    run = getattr(store, through)
    for how in (
        {"index": Index("replica_by_name", ("storage_id",))},
        {"index": BY_HOLDER},
        {"prefix": (1, 2, 3)},
        {"prefix": ("text",)},
        {"prefix": (1,), "after": (2, 3)},
        {"prefix": (-1,)},
        {"prefix": [1]},
    ):
        with pytest.raises(TransactionMisuse):
            run(lambda tx, how=how: list(tx.scan(REPLICA, **how)))


# --- rows as bytes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [0, 1, 16, 17, 64, 300, 5000])
def test_encoded_rows_are_those_of_a_scan(store: Store, limit: int) -> None:
    for directory, count in ((1, 3), (2, 300), (3, 20)):
        fill(store, directory, [f"n{number:04}" for number in range(count)])

    def both(tx: Transaction) -> None:
        after: list[str | None] = [None, "n0000", "n0004", "n00045", "n0299", "", "z", "a"]
        for directory, name in itertools.product((1, 2, 3, 4), after):
            after_key = None if name is None else (name,)
            encoded = tx.scan_encoded(INODE, (directory,), after_key, limit=limit)
            if encoded is None:
                return
            expected = list(tx.scan(INODE, (directory,), after_key, limit))
            assert [encoded.decode(*row) for row in encoded.rows] == expected
            for (raw_key, _), (key, _) in zip(encoded.rows, expected, strict=True):
                assert raw_key == directory.to_bytes(8, "big") + str(key[1]).encode()

    store.read(both)


def test_encoded_rows_need_a_proper_prefix(store: Store) -> None:
    def misuse(tx: Transaction) -> None:
        if tx.scan_encoded(INODE, (1,), limit=1) is not None:
            with pytest.raises(TransactionMisuse):
                tx.scan_encoded(INODE, ("text",), limit=1)

    store.read(misuse)
