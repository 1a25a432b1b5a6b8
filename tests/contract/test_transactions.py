"""What a transaction promises: all or nothing, a snapshot that does not move, durability when answered."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import pytest

from oastfs.core.errors import NotFound, StoreError, TransactionMisuse
from oastfs.store.schema import (
    CONTENT,
    COUNTER,
    INODE,
    LEASE,
    REPLICA,
    XATTR,
    Content,
    Counter,
    Inode,
    Lease,
    Replica,
    Xattr,
)
from oastfs.store.table import Column, Row, Table
from oastfs.store.transaction import Store, Transaction
from tests.contract.answers import Answers
from tests.contract.conftest import StoreFactory
from tests.contract.rows import fill, increment, inode, names
from tests.harness.waiting import wait_until

BY_STORAGE = REPLICA.indexes[0]


def test_an_exception_undoes_everything_and_comes_out(store: Store) -> None:
    fill(store, 1, ["kept"])

    def write(tx: Transaction) -> None:
        tx.put(INODE, (1, "new"), inode(1))
        tx.delete(INODE, (1, "kept"))
        tx.put(REPLICA, (1, 2), Replica(3))
        raise NotFound(path="/somewhere")

    with pytest.raises(NotFound, match="/somewhere"):
        store.write(write)
    assert names(store, 1) == ["kept"]
    assert store.read(lambda tx: list(tx.scan(REPLICA, index=BY_STORAGE))) == []


def test_a_snapshot_does_not_move(store: Store) -> None:
    fill(store, 1, ["a", "b"])
    changed = threading.Event()
    reading = threading.Event()

    def change() -> None:
        assert reading.wait(10)
        store.write(lambda tx: (tx.delete(INODE, (1, "a")), tx.put(INODE, (1, "c"), inode(3))))
        changed.set()

    def read(tx: Transaction) -> tuple[Any, ...]:
        first = tx.get(INODE, (1, "b"))
        reading.set()
        assert changed.wait(10)
        return first, tx.get(INODE, (1, "a")), tx.get(INODE, (1, "c")), tx_names(tx)

    def tx_names(tx: Transaction) -> list[Any]:
        return [key[1] for key, _ in tx.scan(INODE, (1,))]

    thread = threading.Thread(target=change)
    thread.start()
    assert store.read(read) == (inode(1), inode(0), None, ["a", "b"])
    thread.join()
    assert names(store, 1) == ["b", "c"]


def test_nothing_is_seen_before_it_is_committed(store: Store) -> None:
    staged, looked = threading.Event(), threading.Event()

    def write(tx: Transaction) -> None:
        tx.put(INODE, (1, "a"), inode(1))
        staged.set()
        assert looked.wait(10)

    thread = threading.Thread(target=lambda: store.write(write))
    thread.start()
    assert staged.wait(10)
    assert names(store, 1) == []
    looked.set()
    thread.join()
    assert names(store, 1) == ["a"]


def test_other_handles_see_what_was_answered(store_factory: StoreFactory) -> None:
    first, second = store_factory(), store_factory()
    fill(first, 1, ["a"])
    assert names(second, 1) == ["a"]
    first.close()
    fill(second, 1, ["b"])
    assert names(second, 1) == ["a", "b"]
    second.close()
    assert names(store_factory(), 1) == ["a", "b"]


def test_results_and_errors_of_many_go_to_the_right_callers(store: Store) -> None:
    problems: list[str] = []

    def work(number: int) -> None:
        for turn in range(30):

            def write(tx: Transaction, turn: int = turn) -> tuple[int, int]:
                tx.put(INODE, (number, f"t{turn}"), inode(turn))
                if turn % 3 == 0:
                    raise KeyError((number, turn))
                return number, turn

            try:
                if store.write(write) != (number, turn) or turn % 3 == 0:
                    problems.append(f"{number} {turn}: wrong result")
            except KeyError as error:
                if error.args != ((number, turn),):
                    problems.append(f"{number} {turn}: somebody else's {error!r}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    expected = sorted(f"t{turn}" for turn in range(30) if turn % 3)
    for number in range(16):
        assert names(store, number) == expected


# --- submit -----------------------------------------------------------------------------------------


def test_submit_answers_each_once_after_commit(store: Store) -> None:
    answers = Answers(100)
    seen_by: dict[int, int] = {}

    def done(result: Any, error: BaseException | None) -> None:
        row = store.read(lambda tx: tx.get(COUNTER, ("n",)))
        seen_by[result] = 0 if row is None else row.value
        answers(result, error)

    for _ in range(100):
        store.submit(increment, done)
    assert answers.all.wait(30), f"only {len(answers.got)} of 100 callbacks came"
    assert all(error is None for _, error in answers.got)
    assert sorted(result for result, _ in answers.got) == list(range(1, 101))
    assert seen_by.keys() == set(range(1, 101))
    assert all(value >= number for number, value in seen_by.items())


def test_submit_passes_errors(store: Store) -> None:
    answers = Answers(2)

    def fail(tx: Transaction) -> None:
        tx.put(INODE, (1, "a"), inode(1))
        raise NotFound(path="/x")

    store.submit(fail, answers)
    store.submit(increment, answers)
    assert answers.all.wait(30), "the callbacks did not come"
    (nothing, error), (value, none) = sorted(answers.got, key=lambda answer: answer[1] is None)
    assert nothing is None and isinstance(error, NotFound)
    assert (value, none) == (1, None)
    assert names(store, 1) == []


def test_a_failing_callback_harms_nobody(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    answers, failing = Answers(1), Answers(1)

    def fail(result: Any, error: BaseException | None) -> None:
        failing(result, error)
        raise ZeroDivisionError

    store.submit(increment, fail)
    assert failing.all.wait(30), "the first callback did not come"
    store.submit(increment, answers)
    assert answers.all.wait(30), "the second callback did not come"
    assert answers.got == [(2, None)]
    # Another thread may have made this call than the one that is about to say so.
    wait_until(lambda: "a callback of submit failed" in caplog.text, "the failure to be logged")


def test_submit_from_an_operation_and_from_a_callback(store: Store) -> None:
    answers = Answers(2)

    def write(tx: Transaction) -> None:
        store.submit(increment, lambda result, error: store.submit(increment, answers))
        store.submit(increment, answers)

    store.write(write)
    assert answers.all.wait(30), "the callbacks did not come"
    results = {result for result, _ in answers.got}
    assert results in ({2, 3}, {1, 3}), "a store may run what was submitted in any order"


# --- misuse -----------------------------------------------------------------------------------------


class Other(Row, frozen=True):
    value: int


OTHER = Table("other", (("id", Column.ID),), Other)


@pytest.mark.parametrize(
    ("table", "key"),
    [
        (INODE, ()),
        (INODE, (1,)),
        (INODE, (1, "a", "b")),
        (INODE, ("a", 1)),
        (INODE, (1, 2)),
        (INODE, (1, b"a")),
        (INODE, (1.5, "a")),
        (INODE, (-1, "a")),
        (INODE, (1 << 63, "a")),
        (INODE, (None, "a")),
        (INODE, (1, None)),
        (INODE, (1, "a\0b")),
        (INODE, (1, "a" * 256)),
        (INODE, (1, "é" * 128)),
        (INODE, (1, "a" * 5000)),
        (INODE, (1, "\udc80")),
        (INODE, [1, "a"]),
        (INODE, "ab"),
        (INODE, 1),
        (LEASE, ("a\0",)),
        (LEASE, (1,)),
        (LEASE, ("a" * 256,)),
        (CONTENT, (1, 2)),
        (CONTENT, ("a",)),
        (CONTENT, (1 << 64,)),
        (OTHER, (1,)),
    ],
)
def test_bad_keys_are_misuse(store: Store, table: Table[Any], key: Any) -> None:
    rows = {INODE: inode(1), LEASE: Lease(1), CONTENT: Content(b""), OTHER: Other(1)}
    for operation in (
        lambda tx: tx.get(table, key),
        lambda tx: tx.get_many(table, [key]),
    ):
        with pytest.raises(TransactionMisuse):
            store.read(operation)
        with pytest.raises(TransactionMisuse):
            store.write(operation)
    for operation in (lambda tx: tx.put(table, key, rows[table]), lambda tx: tx.delete(table, key)):
        with pytest.raises(TransactionMisuse):
            store.write(operation)
    if table is INODE:
        with pytest.raises(TransactionMisuse):
            store.write(lambda tx: (tx.put(INODE, (1, "ok"), inode(1)), tx.get(INODE, key)))
    assert store.read(lambda tx: list(tx.scan(INODE))) == []


def put_value(tx: Transaction, value: Any) -> None:
    tx.put(INODE, (1, "a"), value)


def test_values_of_another_table_are_misuse(store: Store) -> None:
    for value in (Content(b""), None, b"bytes", ("tuple",), Inode):
        with pytest.raises(TransactionMisuse):
            store.write(partial(put_value, value=value))
    with pytest.raises(TransactionMisuse):
        store.write(lambda tx: tx.put(XATTR, (1, "a"), Xattr(object())))  # type: ignore[arg-type]  # no bytes
    assert store.read(lambda tx: list(tx.scan(INODE)) + list(tx.scan(XATTR))) == []


def test_a_bad_row_undoes_only_its_own_operation(store: Store) -> None:
    def write(tx: Transaction) -> None:
        tx.put(INODE, (1, "a"), inode(1))
        tx.put(COUNTER, ("n",), Counter(object()))  # type: ignore[arg-type]  # no number

    with pytest.raises(TransactionMisuse):
        store.write(write)
    assert names(store, 1) == []


def test_reading_transactions_do_not_write(store: Store) -> None:
    with pytest.raises(TransactionMisuse):
        store.read(lambda tx: tx.put(INODE, (1, "a"), inode(1)))
    with pytest.raises(TransactionMisuse):
        store.read(lambda tx: tx.delete(INODE, (1, "a")))


@pytest.mark.parametrize("through", ["read", "write"])
def test_transactions_end_with_their_function(store: Store, through: str) -> None:
    fill(store, 1, ["a"])
    ended = getattr(store, through)(lambda tx: tx)
    for use in (
        lambda: ended.get(INODE, (1, "a")),
        lambda: ended.get_many(INODE, [(1, "a")]),
        lambda: list(ended.scan(INODE)),
        lambda: ended.put(INODE, (1, "a"), inode(1)),
        lambda: ended.delete(INODE, (1, "a")),
    ):
        with pytest.raises(TransactionMisuse):
            use()


@pytest.mark.parametrize("through", ["read", "write"])
def test_scans_end_with_their_transaction(store: Store, through: str) -> None:
    fill(store, 1, ["a", "b", "c"])

    def begin(tx: Transaction) -> Any:
        rows = tx.scan(INODE, (1,))
        next(rows)
        return rows

    rows = getattr(store, through)(begin)
    with pytest.raises(TransactionMisuse):
        list(rows)
    fill(store, 1, ["d"])


@pytest.mark.parametrize("through", ["read", "write"])
def test_write_inside_an_operation_is_misuse(store: Store, through: str) -> None:
    with pytest.raises(TransactionMisuse):
        getattr(store, through)(lambda tx: store.write(increment))
    assert store.write(increment) == 1


def test_write_inside_a_callback_is_misuse(store: Store) -> None:
    answers = Answers(1)

    def done(result: Any, error: BaseException | None) -> None:
        try:
            store.write(increment)
        except TransactionMisuse as misuse:
            answers(result, misuse)

    store.submit(increment, done)
    assert answers.all.wait(30), "the callback did not come"
    assert isinstance(answers.got[0][1], TransactionMisuse)


def test_read_inside_a_read_has_its_own_snapshot(store: Store) -> None:
    fill(store, 1, ["a"])

    def outer(tx: Transaction) -> tuple[Any, Any]:
        inner = store.read(lambda other: other.get(INODE, (1, "a")))
        return inner, tx.get(INODE, (1, "a"))

    assert store.read(outer) == (inode(0), inode(0))


# --- closing ----------------------------------------------------------------------------------------


def test_close_finishes_what_was_submitted(store_factory: StoreFactory) -> None:
    store = store_factory()
    answers = Answers(500)
    for _ in range(500):
        store.submit(increment, answers)
    store.close()
    assert sorted(result for result, _ in answers.got) == list(range(1, 501))
    row = store_factory().read(lambda tx: tx.get(COUNTER, ("n",)))
    assert row == Counter(500)


def test_calls_after_close_fail(store_factory: StoreFactory) -> None:
    store, other = store_factory(), store_factory()
    store.close()
    store.close()
    for use in (
        lambda: store.read(lambda tx: 1),
        lambda: store.write(lambda tx: 1),
        lambda: store.submit(increment, lambda result, error: None),
        lambda: store.usage(),
        lambda: store.count(INODE),
    ):
        with pytest.raises(StoreError, match="closed"):
            use()
    assert other.write(increment) == 1
    other.close()
    with pytest.raises(StoreError, match="closed"):
        other.read(lambda tx: 1)


def test_closing_while_others_write_loses_nothing(store_factory: StoreFactory) -> None:
    store = store_factory()
    written: list[int] = []
    first = threading.Event()

    def work() -> None:
        while True:
            try:
                written.append(store.write(increment))
            except StoreError:
                return
            first.set()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert first.wait(30), "nothing was written"
    store.close()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive(), "a writer hangs on the closed store"
    row = store_factory().read(lambda tx: tx.get(COUNTER, ("n",)))
    assert row is not None and row.value == max(written) == len(written)
