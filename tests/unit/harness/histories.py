"""Random histories of a tree: what clients are told who do something at the same time, or almost."""

from __future__ import annotations

import random
from dataclasses import replace

from tests.harness.torture import VERBS
from tests.harness.tree_history import FAILED, Call, Tree, step

WIDTH = 10
"""The mean time of a call."""


def random_history(
    chance: random.Random, count: int, clients: int, lost: float, names: str = "abc"
) -> list[Call]:
    """Calls of clients who do one after the other each; so many of them are never answered."""
    waiting = [(chance.randrange(WIDTH), client) for client in range(clients)]
    moments: list[tuple[int, int, str, Call]] = []
    for number in range(1, count + 1):
        called_at, client = min(waiting)
        waiting.remove((called_at, client))
        first, second, end = sorted(called_at + 1 + chance.randrange(2 * WIDTH) for _ in range(3))
        verb = chance.choices(list(VERBS), list(VERBS.values()))[0]
        paths = tuple(_path(chance, names) for _ in range({"rename": 2, "link": 2, "peek": 3}.get(verb, 1)))
        answered_at = None if chance.random() < lost else end
        call = Call(number, verb, paths, str(number).encode(), "", called_at, answered_at)
        moments += [(first, number, "follow", call), (second, number, "happen", call)]
        waiting.append((end + 1 + chance.randrange(3), client))
    return _told(chance, moments)


def _path(chance: random.Random, names: str) -> str:
    return "".join(f"/{chance.choice(names)}" for _ in range(chance.choice((1, 2, 2, 3))))


def _told(chance: random.Random, moments: list[tuple[int, int, str, Call]]) -> list[Call]:
    """What becomes of them, as they happen."""
    tree = Tree()
    calls = []
    for _, _, what, call in sorted(moments, key=lambda one: one[:2]):
        if what == "happen":
            never = call.answered_at is None and chance.random() < 0.5
            tree, told = (tree, call) if never else _happened(tree, call)
            if told.answered_at is not None or told.verb not in ("read", "list", "peek"):
                calls.append(told)
        elif call.verb not in ("read", "list", "peek"):
            tree = step(tree, ("follow", call)) or tree
    return calls


def _happened(tree: Tree, call: Call) -> tuple[Tree, Call]:
    if call.verb == "peek":
        return tree, replace(call, answer=tuple(tree.read(path) for path in call.paths))
    if call.verb in ("read", "list"):
        return tree, replace(call, answer=(tree.read if call.verb == "read" else tree.names)(call.paths[0]))
    changed = step(tree, ("change", call))
    if changed is not None:
        return changed, call
    if call.number in tree.found:
        tree = tree.copy()
        del tree.found[call.number]
    # Refused at one moment: whoever was refused for what was so at two has not been heard.
    refused = replace(call, answer=FAILED)
    is_refused = step(tree, ("look", refused)) is not None
    return tree, refused if is_refused and call.answered_at else replace(call, answered_at=None)


def spoiled(chance: random.Random, calls: list[Call]) -> list[Call]:
    """With one answer that is perhaps wrong."""
    at = chance.randrange(len(calls))
    call = calls[at]
    others = [one.answer for one in calls if one.verb == call.verb]
    answer = chance.choice([*others, FAILED if call.answer != FAILED else ""])
    if call.verb in ("read", "list", "peek") and answer == "":
        answer = FAILED
    return [*calls[:at], replace(call, answer=answer), *calls[at + 1 :]]
