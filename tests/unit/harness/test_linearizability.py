"""The checker of histories: it finds orders where there are some, and rejects what cannot have been."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.harness import torture, tree_history
from tests.harness.early_search import find_order_early
from tests.harness.linearizability import Operation, Undecided, find_order
from tests.harness.tree_history import FAILED, Call, Tree, explain, operations_of, step
from tests.unit.harness.histories import random_history, spoiled

# --- a register -------------------------------------------------------------------------------------


def register(state: int, name: tuple[str, int]) -> int | None:
    verb, value = name
    if verb == "write":
        return value
    return state if state == value else None


def ordered(*history: tuple[str, int, int, int | None]) -> bool:
    """Of (verb, value, called at, answered at)."""
    operations = [
        Operation((verb, value), called, answered, only_reads=verb == "read")
        for verb, value, called, answered in history
    ]
    return find_order(operations, 0, register) is not None


def test_registers() -> None:
    assert ordered()
    assert ordered(("write", 1, 0, 1), ("read", 1, 2, 3))
    assert not ordered(("write", 1, 0, 1), ("read", 0, 2, 3)), "a stale read"
    assert ordered(("write", 1, 0, 5), ("read", 0, 1, 2), ("read", 1, 3, 4))
    assert not ordered(("write", 1, 0, 9), ("read", 1, 1, 2), ("read", 0, 3, 4)), "time goes back"
    assert ordered(("write", 1, 0, 9), ("write", 2, 0, 9), ("read", 2, 1, 2), ("read", 1, 3, 4))
    assert not ordered(
        ("write", 1, 0, 9), ("write", 2, 0, 9), ("read", 2, 1, 2), ("read", 1, 3, 4), ("read", 2, 5, 6)
    )
    assert not ordered(("read", 7, 0, 1)), "out of thin air"


def test_what_nobody_heard_of_may_have_happened_or_not() -> None:
    assert ordered(("write", 1, 0, None), ("read", 0, 5, 6))
    assert ordered(("write", 1, 0, None), ("read", 1, 5, 6))
    assert ordered(("write", 1, 0, None), ("read", 0, 5, 6), ("read", 1, 7, 8))
    assert not ordered(("write", 1, 0, None), ("read", 1, 5, 6), ("read", 0, 7, 8)), "it happens once"
    assert not ordered(("write", 1, 9, None), ("read", 1, 5, 6)), "not before its call"


def test_against_all_orders() -> None:
    """Small random histories: the search says what trying all orders says."""
    chance = random.Random(1)
    outcomes = set()
    for _ in range(400):
        history = []
        for _ in range(5):
            called = chance.randrange(12)
            answered = None if chance.random() < 0.2 else called + chance.randrange(1, 6)
            history.append((chance.choice(["read", "write"]), chance.randrange(3), called, answered))
        expected = any(_is_order(list(order)) for order in itertools.permutations(history))
        assert ordered(*history) == expected, history
        outcomes.add(expected)
    assert outcomes == {True, False}


@pytest.mark.parametrize("lost", [0.0, 0.1])
def test_trees_against_the_plain_search(lost: float) -> None:
    """Histories as clients write them, and the same with an answer that is perhaps wrong."""
    outcomes: Counter[bool] = Counter()
    for seed in range(150):
        chance = random.Random(seed)
        calls = random_history(chance, chance.randrange(5, 40), 4, lost, "ab")
        assert explain(calls) is not None, f"seed {seed}: what happened has an order"
        for _ in range(2):
            wrong = spoiled(chance, calls)
            operations = operations_of(wrong)
            expected = find_order_early(operations, Tree(), step, Tree.key)
            order = find_order(operations, Tree(), step, Tree.key)
            assert (order is None) == (expected is None), f"seed {seed}"
            if order is not None:
                require_is_order(order, operations)
            outcomes[order is None] += 1
    assert min(outcomes[True], outcomes[False]) > 20, outcomes


def require_is_order(order: list[Operation], operations: list[Operation]) -> None:
    """It has all that were answered, none before its time, and every answer is right."""
    assert len(order) == len(set(map(id, order)))
    missing = {id(one) for one in operations} - {id(one) for one in order}
    assert all(one.answered_at is None for one in operations if id(one) in missing)
    latest_call = -math.inf
    state: Tree | None = Tree()
    for operation in order:
        latest_call = max(latest_call, operation.called_at)
        assert operation.answered_at is None or operation.answered_at >= latest_call
        assert state is not None
        state = step(state, operation.name)
        assert state is not None


def test_a_long_history_with_lost_answers_is_decided_in_time() -> None:
    calls = random_history(random.Random(0), 3000, 4, 0.003)
    assert any(call.answered_at is None for call in calls)
    assert explain(calls, seconds=60) is not None


def test_the_other_search_has_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = random_history(random.Random(1), 500, 4, 0.003)
    monkeypatch.setattr(tree_history, "LATE_SEARCH_SECONDS", 0.0)
    assert explain(calls, seconds=60) is not None
    with pytest.raises(Undecided, match="it is not known"):
        explain(calls, seconds=0)


def test_what_takes_too_long_is_said_and_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torture, "HISTORIES", tmp_path)
    calls = random_history(random.Random(0), 3000, 4, 0.003)
    torture.require_order(calls, "right")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(torture, "SEARCH_SECONDS", 0.0)
    with pytest.raises(AssertionError, match="it is not known whether there is an order") as undecided:
        torture.require_order(calls, "undecided")
    (kept,) = tmp_path.iterdir()
    assert str(kept) in str(undecided.value)
    assert torture.history([kept]) == calls
    wrong = [*calls, call("read", "/a", at=(10**9, 10**9 + 1), answer=b"never written")]
    monkeypatch.setattr(torture, "SEARCH_SECONDS", 60.0)
    monkeypatch.setattr(torture, "HISTORIES", tmp_path / "wrong")
    with pytest.raises(AssertionError, match="there is no order"):
        torture.require_order(wrong[-1:], "wrong")
    assert len(list((tmp_path / "wrong").iterdir())) == 1


def _is_order(history: list[tuple[str, int, int, int | None]]) -> bool:
    for kept in itertools.product([True, False], repeat=len(history)):
        if any(not keep and one[3] is not None for keep, one in zip(kept, history, strict=True)):
            continue
        left = [one for keep, one in zip(kept, history, strict=True) if keep]
        state: int | None = 0
        for at, (verb, value, called, _) in enumerate(left):
            if any(later[3] is not None and later[3] < called for later in left[at + 1 :]):
                state = None
            if state is not None:
                state = register(state, (verb, value))
            if state is None:
                break
        if state is not None:
            return True
    return False


# --- a tree -----------------------------------------------------------------------------------------

_numbers = itertools.count(1)


def call(verb: str, *paths: str, at: tuple[int, int | None], answer: Any = "", data: bytes = b"") -> Call:
    return Call(next(_numbers), verb, paths, data, answer, *at)


def made(*paths: str) -> list[Call]:
    """Directories that are there at the begin."""
    return [call("mkdir", path, at=(at - 100, at - 99)) for at, path in enumerate(paths)]


def good(*calls: Call) -> bool:
    return explain(list(calls)) is not None


def test_changes_and_what_is_read() -> None:
    write = call("write", "/a/x", at=(0, 1), data=b"1")
    assert good(*made("/a"), write, call("read", "/a/x", at=(2, 3), answer=b"1"))
    assert not good(*made("/a"), write, call("read", "/a/x", at=(2, 3), answer=FAILED)), "an answer was lost"
    assert not good(write), "its directory is not there"
    assert good(*made("/a"), write, call("list", "/a", at=(2, 3), answer=("x",)))
    assert not good(*made("/a"), write, call("list", "/a", at=(2, 3), answer=("x", "y")))
    assert good(call("mkdir", "/n", at=(0, 5)), call("mkdir", "/n", at=(0, 5), answer=FAILED))
    assert not good(call("mkdir", "/n", at=(0, 5)), call("mkdir", "/n", at=(0, 5))), "made twice"
    assert not good(call("mkdir", "/n", at=(0, 5), answer=FAILED)), "refused without a reason"


@pytest.mark.parametrize(("there", "here"), [(b"1", b"1"), (FAILED, FAILED)])
def test_a_rename_is_never_seen_in_part(there: Any, here: Any) -> None:
    start = [*made("/a", "/b"), call("write", "/a/x", at=(0, 1), data=b"1")]
    rename = call("rename", "/a/x", "/b/y", at=(2, 9))
    torn = call("peek", "/a/x", "/b/y", at=(3, 4), answer=(there, here))
    assert not good(*start, rename, torn)
    for whole in ((b"1", FAILED), (FAILED, b"1")):
        assert good(*start, rename, call("peek", "/a/x", "/b/y", at=(3, 4), answer=whole))


def test_a_rename_that_was_seen_stays() -> None:
    start = [*made("/a", "/b"), call("write", "/a/x", at=(0, 1), data=b"1")]
    rename = call("rename", "/a/x", "/b/y", at=(2, 9))
    gone = call("read", "/a/x", at=(3, 4), answer=FAILED)
    assert good(*start, rename, gone, call("read", "/b/y", at=(5, 6), answer=b"1"))
    assert not good(*start, rename, gone, call("read", "/b/y", at=(5, 6), answer=FAILED))
    assert not good(*start, rename, call("rename", "/a/x", "/b/z", at=(2, 9))), "one file went two ways"


def test_creating_and_removing() -> None:
    start = made("/a")
    write = call("write", "/a/x", at=(0, 9), data=b"1")
    assert not good(*start, write, call("rmdir", "/a", at=(0, 9)), call("list", "/", at=(10, 11), answer=()))
    assert good(*start, write, call("rmdir", "/a", at=(0, 9), answer=FAILED))
    lost = call("write", "/a/x", at=(0, 9), answer=FAILED)
    assert good(*start, lost, call("rmdir", "/a", at=(0, 9)), call("list", "/", at=(10, 11), answer=()))


def test_directories_into_each_other() -> None:
    into_b, into_a = call("rename", "/a", "/b/a", at=(0, 9)), call("rename", "/b", "/a/b", at=(0, 9))
    refused = call("rename", "/b", "/a/b", at=(0, 9), answer=FAILED)
    assert not good(*made("/a", "/b"), into_b, into_a), "a circle"
    assert good(*made("/a", "/b"), into_b, refused, call("list", "/b", at=(10, 11), answer=("a",)))


def test_a_path_may_be_followed_before_its_directory_moves() -> None:
    start = made("/a", "/b", "/a/d")
    move = call("rename", "/a/d", "/b/d", at=(1, 2))
    empty = call("list", "/b/d", at=(3, 4), answer=())
    write = call("write", "/a/d/x", at=(0, 9), data=b"1")
    assert good(*start, write, move, empty, call("list", "/b/d", at=(10, 11), answer=("x",)))
    late = call("write", "/a/d/x", at=(5, 9), data=b"1")
    assert not good(*start, late, move, empty), "the path was not there any more"


def test_links_share_content() -> None:
    start = [*made("/a"), call("write", "/a/x", at=(0, 1), data=b"1"), call("link", "/a/x", "/y", at=(2, 3))]
    rewrite = call("write", "/y", at=(4, 5), data=b"2")
    assert good(*start, rewrite, call("read", "/a/x", at=(6, 7), answer=b"2"))
    assert not good(*start, rewrite, call("read", "/a/x", at=(6, 7), answer=b"1"))
