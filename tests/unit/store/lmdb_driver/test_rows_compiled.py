"""What is compiled of rows as bytes gives what Python gives, and says what Python says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oastfs.core.errors import OastError
from oastfs.store import open_store
from oastfs.store.lmdb_driver.changes import (
    apply_changes_in_python,
    encode_writes,
    encode_writes_in_python,
    note_changes_in_python,
)
from oastfs.store.lmdb_driver.codec import key_encoder_in_python
from oastfs.store.lmdb_driver.records import Changes
from oastfs.store.lmdb_driver.store import LmdbStore
from oastfs.store.lmdb_driver.transaction import ReadTransaction
from oastfs.store.schema import (
    CONTENT,
    FILE_LOCK,
    LEASE,
    OPEN_FILE,
    PLACE,
    REPLICA,
    Content,
    FileLock,
    Lease,
    OpenFile,
    Place,
    Replica,
)
from oastfs.store.table import Column, Row, Table
from oastfs.store.transaction import Transaction

compiled: Any = pytest.importorskip("oastfs.store.lmdb_driver._rows")

_ids = st.integers(0, 300) | st.integers(-2, (1 << 64) + 1) | st.sampled_from([True, None, "1"])
_texts = st.text(max_size=6) | st.sampled_from(["x" * 300, "\ud800", 3, None, b"x"])
_shapes = st.lists(st.sampled_from(list(Column)), min_size=1, max_size=8).map(tuple)


def _values(shape: tuple[Column, ...]) -> st.SearchStrategy[Any]:
    whole = st.tuples(*(_ids if column is Column.ID else _texts for column in shape))
    return whole | whole.map(list) | st.lists(_ids | _texts, max_size=9).map(tuple) | st.none()


def _outcome(function: Any, *arguments: Any) -> object:
    try:
        return function(*arguments)
    except OastError as error:
        return type(error), str(error)
    except Exception:
        return "refused"


@given(_shapes.flatmap(lambda shape: st.tuples(st.just(shape), _values(shape))))
def test_keys(drawn: tuple[tuple[Column, ...], Any]) -> None:
    shape, key = drawn
    columns = tuple((f"c{at}", column) for at, column in enumerate(shape))
    in_c = _outcome(compiled.KeyEncoder(shape), key)
    if key is None or len(key) != len(shape):
        assert in_c == "refused"
    else:
        assert in_c == _outcome(key_encoder_in_python(columns), key)


def test_shapes_that_are_none() -> None:
    for shape in ((), (Column.ID,) * 9):
        with pytest.raises(ValueError, match="columns"):
            compiled.KeyEncoder(shape)


# --- rows of tables -------------------------------------------------------------------------------

_ROWS: dict[Table[Any], tuple[st.SearchStrategy[Any], Row]] = {
    PLACE: (st.tuples(_ids), Place(1, "ä")),
    LEASE: (st.tuples(_texts), Lease(7)),
    CONTENT: (st.tuples(st.integers(0, 9)), Content(b"x" * 70_000)),
    REPLICA: (st.tuples(st.integers(0, 9), _ids), Replica(3)),
    OPEN_FILE: (st.tuples(st.integers(0, 9), st.text(max_size=3)), OpenFile(True, 1)),
    FILE_LOCK: (
        st.tuples(st.integers(0, 9), st.text("ab", max_size=3), *[st.integers(0, 2)] * 3),
        FileLock(1, ((0, 1, 2),)),
    ),
}
_too_large = Lease(1 << 64)  # what MessagePack cannot hold
_tables = st.sampled_from(list(_ROWS))
_writes = st.dictionaries(_tables, st.just(None), max_size=3).flatmap(
    lambda tables: st.fixed_dictionaries(
        {
            table: st.dictionaries(
                _ROWS[table][0], st.sampled_from([_ROWS[table][1]] * 3 + [None, _too_large]), max_size=4
            )
            for table in tables
        }
    )
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LmdbStore]:
    path: Path = tmp_path_factory.mktemp("rows")
    opened = open_store(f"lmdb://{path}/store", create=True)
    assert isinstance(opened, LmdbStore)
    yield opened
    opened.close()


class Recorder:
    """An LMDB transaction that notes what is put."""

    def __init__(self, refused_at: int) -> None:
        self.calls: list[object] = []
        self._refused_at = refused_at

    def put(self, *arguments: object) -> bool:
        return self._note("put", arguments)

    def delete(self, *arguments: object) -> bool:
        return self._note("delete", arguments)

    def _note(self, verb: str, arguments: tuple[object, ...]) -> bool:
        if len(self.calls) == self._refused_at:
            raise MemoryError
        self.calls.append((verb, arguments))
        return True


@given(writes=_writes, refused_at=st.integers(0, 12))
def test_writes(store: LmdbStore, writes: Any, refused_at: int) -> None:
    tables = store.environment.tables
    in_python = _outcome(encode_writes_in_python, tables, writes)
    assert _outcome(encode_writes, tables, writes) == in_python
    if isinstance(in_python, list):
        assert compiled.encode_writes(tables, writes) == in_python
        applied = []
        for apply in (compiled.apply_changes, apply_changes_in_python):
            recorder = Recorder(refused_at)
            applied.append((_outcome(apply, recorder, in_python), recorder.calls))
        assert applied[0] == applied[1]
        logs: list[Changes] = [{PLACE.name: {b"before": b""}}, {PLACE.name: {b"before": b""}}]
        compiled.note_changes(in_python, logs[0])
        note_changes_in_python(in_python, logs[1])
        assert logs[0] == logs[1]


def test_a_table_that_is_not_there(store: LmdbStore) -> None:
    other: Any = Table("other", (("id", Column.ID),), Lease)
    unknown: tuple[Any, ...] = ({other: {(1,): Lease(1)}}, {"no table": {}})
    for writes in unknown:
        in_python = _outcome(encode_writes_in_python, store.environment.tables, writes)
        assert in_python == _outcome(encode_writes, store.environment.tables, writes) != []


@given(_tables.flatmap(lambda table: st.tuples(st.just(table), _ROWS[table][0] | _ids | st.none())))
def test_reads(store: LmdbStore, asked: tuple[Table[Any], Any]) -> None:
    def fill(tx: Transaction) -> None:
        for number in range(5):
            tx.put(PLACE, (number,), Place(number, "x"))
            tx.put(REPLICA, (number, number), Replica(number))

    if store.count(PLACE) == 0:
        store.write(fill)

    def both(tx: Transaction) -> list[object]:
        assert isinstance(tx, ReadTransaction) and isinstance(tx, compiled.Reader)
        return [_outcome(get, *asked) for get in (tx.get, tx.get_in_python)]

    in_c, in_python = store.read(both)
    assert in_c == in_python


def test_a_transaction_that_has_ended(store: LmdbStore) -> None:
    kept = store.read(lambda tx: tx)
    assert isinstance(kept, ReadTransaction)
    outcomes = {_outcome(get, PLACE, (1,)) for get in (kept.get, kept.get_in_python)}
    assert len(outcomes) == 1 and "refused" not in outcomes
    unbegun = ReadTransaction.__new__(ReadTransaction)
    assert _outcome(unbegun.get, PLACE, (1,)) != []
