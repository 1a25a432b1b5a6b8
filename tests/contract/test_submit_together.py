"""submit_together: answers come as from submit, perhaps on the caller's own thread."""

from __future__ import annotations

import threading
from typing import Any

from oastfs.core.errors import NotFound
from oastfs.store.schema import COUNTER
from oastfs.store.transaction import Store, Transaction
from tests.contract.answers import Answers
from tests.contract.rows import increment


def value_of(store: Store) -> int:
    row = store.read(lambda tx: tx.get(COUNTER, ("n",)))
    return 0 if row is None else row.value


def test_each_is_answered_once_after_the_commit(store: Store) -> None:
    answers = Answers(10)
    seen: list[int] = []

    def done(result: Any, error: BaseException | None) -> None:
        seen.append(value_of(store))
        answers(result, error)

    store.submit_together([(increment, done)] * 10)
    assert answers.all.wait(30), f"only {len(answers.got)} of 10 callbacks came"
    assert sorted(result for result, _ in answers.got) == list(range(1, 11))
    assert all(value >= result for value, (result, _) in zip(seen, answers.got, strict=True))


def test_one_that_fails_does_not_harm_the_others(store: Store) -> None:
    answers = Answers(3)

    def fail(tx: Transaction) -> None:
        increment(tx)
        raise NotFound(path="/x")

    store.submit_together([(increment, answers), (fail, answers), (increment, answers)])
    assert answers.all.wait(30), "the callbacks did not come"
    failed = [error for _, error in answers.got if error is not None]
    assert sorted(result for result, error in answers.got if error is None) == [1, 2]
    assert len(failed) == 1 and isinstance(failed[0], NotFound)
    assert value_of(store) == 2


def test_a_callback_may_write_and_submit(store: Store) -> None:
    answers = Answers(2)
    again = threading.Event()

    def done(result: Any, error: BaseException | None) -> None:
        answers(result, error)
        store.submit_together([(increment, lambda result, error: again.set())])

    store.submit_together([(increment, done), (increment, answers)])
    assert answers.all.wait(30) and again.wait(30), "the callbacks did not come"
    assert value_of(store) == 3


def test_beside_other_writers(store: Store) -> None:
    """Whoever leads, every job is carried out once."""
    answers = Answers(4 * 50 * 3)

    def work() -> None:
        for _ in range(50):
            store.submit_together([(increment, answers)] * 3)
            store.write(increment)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers.all.wait(30), f"only {len(answers.got)} of 600 callbacks came"
    assert value_of(store) == 4 * 50 * 4
