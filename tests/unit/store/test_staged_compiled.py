"""What is compiled of a staged transaction does what Python does, whatever is called on it."""

from __future__ import annotations

import gc
import stat
import weakref
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oastfs.core.errors import TransactionMisuse
from oastfs.store.schema import DIRECTORY, INODE, LEASE, Directory, Inode, Lease
from oastfs.store.staged import PythonStage, StagedTransaction
from oastfs.store.table import Key, Lock, Table
from oastfs.store.transaction import Transaction

compiled: Any = pytest.importorskip("oastfs.store._staged")

_REST = {name: StagedTransaction.__dict__[name] for name in ("get_many", "prefetch", "scan", "__slots__")}
IN_PYTHON: Any = type("InPython", (PythonStage,), _REST)
IN_C: Any = type("InC", (compiled.Stage, Transaction), _REST)


class Base:
    """Counts what it is asked for; what it has is told by the key. Some rows cannot be read."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Key, Lock]] = []

    def get(self, table: Table[Any], key: Key, lock: Lock = Lock.NONE) -> Any:
        self.asked.append((table.name, key, lock))
        if key[-1:] == ("unreadable",):
            raise OSError("unreadable")
        return _value(table, len(self.asked)) if key[:1] in ((1,), (2,), ("a",)) else None


def _value(table: Table[Any], number: int) -> Any:
    if table is INODE:
        kind = stat.S_IFDIR if number % 2 else stat.S_IFREG
        return Inode(number, kind | 0o644, 0, 0, 0, 1, 2, 3)
    return Directory(number, number) if table is DIRECTORY else Lease(number)


_ids = st.integers(0, 3) | st.sampled_from([-1, True, 1 << 62, (1 << 63) - 1, 1 << 63, 1.0, "1", None])
_texts = st.sampled_from(["a", "b", "ä", "", "a\0", "x" * 255, "x" * 256, "\ud800", "unreadable", 3, None])
_keys: st.SearchStrategy[Any] = (
    st.tuples(_ids, _texts)
    | st.tuples(_ids)
    | st.tuples(_texts)
    | st.sampled_from([(), [1, "a"], {}, "k", (1, []), None])
)
_plain_keys = {
    INODE: st.tuples(st.integers(0, 3), st.sampled_from(["a", "b"])),
    DIRECTORY: st.tuples(st.integers(0, 3)),
    LEASE: st.tuples(st.sampled_from(["a", "b"])),
}
_tables = st.sampled_from([INODE, INODE, DIRECTORY, LEASE])
_locks = st.sampled_from([(), (), (Lock.NONE,), (Lock.EXCLUSIVE,)])
_calls = st.builds(
    lambda verb, table_and_key, number, lock, other: (verb, *table_and_key, number, lock, other),
    st.sampled_from(["get", "get", "get_named", "put", "put", "put_named", "delete", "get_many", "misuse"]),
    _tables.flatmap(lambda table: st.tuples(st.just(table), _plain_keys[table] | _plain_keys[table] | _keys)),
    st.integers(0, 9),
    _locks,
    _tables,
)


def _call(tx: Any, call: tuple[Any, ...]) -> object:
    """What a call gives or raises, and whether the memo is another one after it."""
    verb, table, key, number, lock, other = call
    memo = tx.memo
    try:
        if verb == "get":
            result: object = tx.get(table, key, *lock)
        elif verb == "get_named":
            result = tx.get(key=key, table=table, **dict(zip(("lock",), lock, strict=False)))
        elif verb == "put":
            result = tx.put(table, key, _value(other if number == 9 else table, number))
        elif verb == "put_named":
            result = tx.put(table, value=_value(table, number), key=key)
        elif verb == "delete":
            result = tx.delete(table, key)
        elif verb == "get_many":
            result = tx.get_many(table, [key, key])
        else:
            result = tx.put(table, key) if number % 2 else tx.get(table, key, unknown=1)
    except (TransactionMisuse, OSError) as error:
        result = type(error), str(error)
    except (TypeError, AttributeError) as error:
        result = type(error)
    return result, tx.memo is memo, tx.unsettles


@given(st.lists(_calls, max_size=12), st.booleans(), st.booleans(), st.integers(0, 12))
def test_both_do_the_same(
    calls: list[tuple[Any, ...]], locking: bool, knowing: bool, ended_after: int
) -> None:
    outcomes = []
    for kind in (IN_PYTHON, IN_C):
        base = Base()
        base.get_many = lambda table, keys, lock: [None] * len(keys)  # type: ignore[attr-defined]  # of this base only
        memo: dict[Any, Any] = {"kept": 1}
        rows = {INODE: {(1, "a"): _value(INODE, 1), (1, "b"): None}, LEASE: {}} if knowing else None
        tx = kind(base, rows, memo, locking=locking)
        outcome: list[object] = [tx.overlapped, tx.memo is memo]
        for at, call in enumerate(calls):
            outcome.append(_call(tx, call))
            if at == ended_after:
                outcome.append(tx.finish())
        outcome += [tx.finish(), tx.finish(), base.asked, rows]
        outcomes.append(outcome)
    assert outcomes[0] == outcomes[1]


def test_what_refers_to_itself_is_collected() -> None:
    tx = IN_C(Base())
    tx.memo["itself"] = tx
    lease = Lease(1)
    tx.put(LEASE, ("a",), lease)
    seen = weakref.ref(tx._base)
    del tx
    gc.collect()
    assert seen() is None


def test_an_abandoned_beginning_leaves_a_transaction_that_has_ended() -> None:
    with pytest.raises(AttributeError):
        IN_C(object())
    tx = IN_C.__new__(IN_C)
    with pytest.raises(TransactionMisuse):
        tx.put(LEASE, ("a",), Lease(1))
