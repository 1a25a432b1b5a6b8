"""Random operations on a store against plain dicts. A failing run prints the steps that lead to it."""

from __future__ import annotations

import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from oastfs.store import open_store
from oastfs.store.schema import INODE, OPEN_FILE, REPLICA, RETRY, OpenFile, Replica, RetryEntry
from oastfs.store.table import Index, Key, Table
from oastfs.store.transaction import Store, Transaction
from tests.contract.rows import inode

TABLES: tuple[Table[Any], ...] = (INODE, OPEN_FILE, REPLICA, RETRY)

numbers = st.sampled_from([0, 1, 2, 255, 256, (1 << 63) - 1])
texts = st.one_of(
    st.sampled_from(["", "a", "ab", "a\x01", "b", "é", "\uffff", "\U0001f600"]),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=3),
)
COLUMNS: dict[Table[Any], tuple[st.SearchStrategy[Any], ...]] = {
    INODE: (numbers, texts),
    OPEN_FILE: (numbers, texts),
    REPLICA: (numbers, numbers),
    RETRY: (numbers, texts, numbers),
}
KEYS: dict[Table[Any], st.SearchStrategy[Key]] = {
    table: st.tuples(*columns) for table, columns in COLUMNS.items()
}


def value(table: Table[Any], number: int) -> Any:
    made = {
        INODE: inode(number),
        OPEN_FILE: OpenFile(bool(number % 2), number),
        REPLICA: Replica(number),
        RETRY: RetryEntry(b"x" * (number % 3000), number),
    }
    return made[table]


changes = st.sampled_from(TABLES).flatmap(
    lambda table: st.tuples(
        st.just(table), KEYS[table], st.one_of(st.none(), st.integers(0, 5000)), st.booleans()
    )
)

Model = dict[Table[Any], dict[Key, Any]]


class Undo(Exception):
    """Raised by an operation that is to leave no trace."""


class StoreMachine(RuleBasedStateMachine):
    """Transactions of puts, deletes and scans, some undone, on a store that is sometimes reopened."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="oastfs-model-"))
        self.model: Model = {table: {} for table in TABLES}
        self.store: Store

    def open(self) -> Store:
        return open_store(f"lmdb://{self.directory}/store", create=True)

    @initialize()
    def begin(self) -> None:
        self.store = self.open()

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
        shutil.rmtree(self.directory)

    @rule(steps=st.lists(changes, max_size=8), undo=st.booleans(), data=st.data())
    def transact(self, steps: list[Any], undo: bool, data: st.DataObject) -> None:
        after = {table: dict(rows) for table, rows in self.model.items()}

        def operation(tx: Transaction) -> None:
            for table, key, number, look in steps:
                if number is None:
                    tx.delete(table, key)
                    after[table].pop(key, None)
                else:
                    tx.put(table, key, value(table, number))
                    after[table][key] = value(table, number)
                assert tx.get(table, key) == after[table].get(key)
                if look:
                    check_scan(tx, after, data, table)
            for table in TABLES:
                some = list(self.model[table])[:5]
                assert tx.get_many(table, some) == [after[table].get(key) for key in some]
            if undo:
                raise Undo

        try:
            self.store.write(operation)
            self.model = after
        except Undo:
            pass

    @precondition(lambda self: any(self.model.values()))
    @rule(table=st.sampled_from(TABLES), data=st.data())
    def scan(self, table: Table[Any], data: st.DataObject) -> None:
        self.store.read(lambda tx: check_scan(tx, self.model, data, table))

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = self.open()

    @invariant()
    def everything_is_there(self) -> None:
        if not hasattr(self, "store"):
            return
        found = self.store.read(lambda tx: {table: dict(tx.scan(table)) for table in TABLES})
        assert found == self.model
        for table in TABLES:
            for index in table.indexes:
                rows = self.store.read(partial(rows_through, table=table, index=index))
                assert rows == self.model[table]


def rows_through(tx: Transaction, table: Table[Any], index: Index) -> dict[Key, Any]:
    return dict(tx.scan(table, index=index))


def check_scan(tx: Transaction, model: Model, data: st.DataObject, table: Table[Any]) -> None:
    """One scan with bounds drawn at random, against sorting the dict."""
    index = data.draw(st.sampled_from([None, *table.indexes]))
    names = [name for name, _ in table.key]
    order = [names.index(name) for name in (names if index is None else index.columns)]
    bounds = data.draw(KEYS[table])
    bounds = tuple(bounds[at] for at in order)
    if data.draw(st.booleans()) and model[table]:
        key = data.draw(st.sampled_from(sorted(model[table])))
        bounds = tuple(key[at] for at in order)
    depth = data.draw(st.integers(0, len(bounds)))
    end = data.draw(st.integers(depth, len(bounds)))
    prefix, after = bounds[:depth], bounds[depth:end] or None
    limit = data.draw(st.sampled_from([None, 0, 1, 2, 10]))
    reverse = data.draw(st.booleans())
    found = list(tx.scan(table, prefix, after, limit, reverse, index))

    def place(key: Key) -> Key:
        return tuple(key[at] for at in order)

    rows = [
        row
        for row in sorted(model[table].items(), key=lambda row: place(row[0]), reverse=reverse)
        if place(row[0])[:depth] == prefix
        and (after is None or beyond(place(row[0])[depth:end], after, reverse))
    ]
    assert found == rows[:limit]


def beyond(rest: Key, after: Key, reverse: bool) -> bool:
    return rest < after if reverse else rest > after


TestStoreModel = StoreMachine.TestCase
TestStoreModel.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
