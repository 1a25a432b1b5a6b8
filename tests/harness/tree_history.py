"""What a filesystem's clients were told, held against a tree: directories' entries and files' contents.

A change that succeeds happens at two moments of its call: its path is followed at one, and the entry in the
directory that was found changes at a later one, wherever that directory is by then ("a path that was there
when the call came is good enough"). What is read, and what is refused, is so at one moment.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from tests.harness.early_search import find_order_early
from tests.harness.linearizability import Operation, Undecided, find_order

LATE_SEARCH_SECONDS: Final = 30.0
"""Then the other search has its turn."""
ROOT: Final = 0
FAILED: Final = "refused"
Node = tuple[str, int]
"""``("d", directory)`` or ``("f", file)``; both are numbered by the call that made them."""


@dataclass(frozen=True)
class Call:
    """A verb with its paths, and what became of it. ``number`` is unlike any other's, and not 0.

    ``answer``: FAILED, what was read (bytes of a file; names of a directory; of ``peek`` a tuple), or ""
    for a change that was made.
    """

    number: int
    verb: str
    paths: tuple[str, ...]
    data: bytes
    answer: Any
    called_at: int
    answered_at: int | None


class Tree:
    """The state. Methods give new ones, or None for what cannot be."""

    __slots__ = ("contents", "directories", "found", "gone")

    def __init__(self) -> None:
        self.directories: dict[int, dict[str, Node]] = {ROOT: {}}
        self.contents: dict[int, bytes] = {}
        self.gone: frozenset[int] = frozenset()
        """Directories that were removed because they were empty: nothing can be made in them."""
        self.found: dict[int, tuple[int, ...]] = {}
        """The directories to which the paths of calls led that are under way."""

    def copy(self) -> Tree:
        tree = Tree()
        tree.directories = dict(self.directories)
        tree.contents = dict(self.contents)
        tree.gone = self.gone
        tree.found = dict(self.found)
        return tree

    def forget_lost(self) -> None:
        """Drop, from a state that nobody else has, what nothing leads to any more."""
        followed = {directory for directories in self.found.values() for directory in directories}
        kept: dict[int, dict[str, Node]] = {}
        contents: dict[int, bytes] = {}
        pending = [ROOT, *followed]
        while pending:
            directory = pending.pop()
            if directory in kept:
                continue
            entries = kept[directory] = self.directories[directory]
            for kind, number in entries.values():
                if kind == "d":
                    pending.append(number)
                else:
                    contents[number] = self.contents[number]
        self.directories, self.contents = kept, contents
        self.gone &= followed

    def key(self) -> Hashable:
        """Equal for equal states."""
        return (
            frozenset((number, frozenset(entries.items())) for number, entries in self.directories.items()),
            frozenset(self.contents.items()),
            self.gone,
            frozenset(self.found.items()),
        )

    def node(self, path: str) -> Node | None:
        """Where a path leads."""
        node: Node = ("d", ROOT)
        for name in path.strip("/").split("/") if path != "/" else ():
            if node[0] != "d" or name not in self.directories[node[1]]:
                return None
            node = self.directories[node[1]][name]
        return node

    def parent(self, path: str) -> int | None:
        """The directory in which the last name of a path is looked for."""
        node = self.node(path.rpartition("/")[0] or "/")
        return None if node is None or node[0] != "d" else node[1]

    def read(self, path: str) -> Any:
        """A file's content."""
        node = self.node(path)
        return FAILED if node is None or node[0] != "f" else self.contents[node[1]]

    def names(self, path: str) -> Any:
        """A directory's names, in order."""
        node = self.node(path)
        return FAILED if node is None or node[0] != "d" else tuple(sorted(self.directories[node[1]]))

    def with_entry(self, directory: int, name: str, node: Node | None) -> Tree:
        tree = self.copy()
        entries = dict(tree.directories[directory])
        entries.pop(name, None)
        if node is not None:
            entries[name] = node
        tree.directories[directory] = entries
        return tree

    def is_below(self, directory: int, top: int) -> bool:
        """Whether a directory is in the tree of another one, or is it."""
        pending = [top]
        while pending:
            one = pending.pop()
            if one == directory:
                return True
            pending += [number for kind, number in self.directories[one].values() if kind == "d"]
        return False


def change(tree: Tree, call: Call, directories: tuple[int, ...]) -> Tree | None:
    """The effect of a change whose paths led to these directories; None if it is refused."""
    names = [path.rpartition("/")[2] for path in call.paths]
    if any(directory in tree.gone for directory in directories):
        return None
    first = tree.directories[directories[0]].get(names[0])
    if call.verb == "mkdir":
        if first is not None:
            return None
        made = tree.with_entry(directories[0], names[0], ("d", call.number))
        made.directories[call.number] = {}
        return made
    if call.verb == "write":
        if first is not None and first[0] == "d":
            return None
        number = call.number if first is None else first[1]
        made = tree.with_entry(directories[0], names[0], ("f", number))
        made.contents[number] = call.data
        return made
    if first is None:
        return None
    if call.verb == "delete":
        return tree.with_entry(directories[0], names[0], None)
    if call.verb == "rmdir":
        if first[0] != "d" or tree.directories[first[1]]:
            return None
        made = tree.with_entry(directories[0], names[0], None)
        made.gone |= {first[1]}
        return made
    second = tree.directories[directories[1]].get(names[1])
    if call.verb == "link":
        if first[0] == "d" or second is not None:
            return None
        return tree.with_entry(directories[1], names[1], first)
    assert call.verb == "rename", call
    return _renamed(tree, directories, names, first, second)


def _renamed(
    tree: Tree, directories: tuple[int, ...], names: list[str], first: Node, second: Node | None
) -> Tree | None:
    if first == second:
        return tree
    if first[0] == "d" and tree.is_below(directories[1], first[1]):
        return None
    if second is not None and (second[0] != first[0] or (second[0] == "d" and tree.directories[second[1]])):
        return None
    made = tree.with_entry(directories[0], names[0], None).with_entry(directories[1], names[1], first)
    if second is not None and second[0] == "d":
        made.gone |= {second[1]}
    return made


Step = tuple[str, Call]
"""``follow`` and ``change`` of a change, ``look`` of what is read or refused."""


def step(tree: Tree, name: Step, forgets: bool = True) -> Tree | None:
    """For searches. ``forgets``: what nothing leads to, so that more states are the same; it takes time."""
    how, call = name
    if how == "look":
        return tree if _answer(tree, call) == call.answer else None
    if how == "follow":
        directories = _directories_of(tree, call)
        if directories is None:
            return None
        tree = tree.copy()
        tree.found[call.number] = directories
        return tree
    found = tree.found.get(call.number)
    changed = None if found is None else change(tree, call, found)
    if changed is not None:
        changed = changed.copy()
        del changed.found[call.number]
        if forgets:
            changed.forget_lost()
    return changed


def _directories_of(tree: Tree, call: Call) -> tuple[int, ...] | None:
    """Where the paths of a call lead now; None if one leads nowhere."""
    found = [tree.parent(path) for path in call.paths]
    directories = tuple(one for one in found if one is not None)
    return directories if len(directories) == len(found) else None


def _answer(tree: Tree, call: Call) -> Any:
    """What the call is told if it happens now."""
    if call.verb == "read":
        return tree.read(call.paths[0])
    if call.verb == "list":
        return tree.names(call.paths[0])
    if call.verb == "peek":
        return tuple(tree.read(path) for path in call.paths)
    directories = _directories_of(tree, call)
    if directories is None or change(tree, call, directories) is None:
        return FAILED
    return ""


def explain(
    calls: list[Call], initial: Tree | None = None, seconds: float = math.inf
) -> list[Operation] | None:
    """An order of these calls that explains their answers; None if there is none. Raises Undecided.

    Two searches have their turn, which are slow at different histories.
    """
    operations, start = operations_of(calls), initial or Tree()
    try:
        return find_order(operations, start, step, Tree.key, min(seconds, LATE_SEARCH_SECONDS))
    except Undecided:
        left = seconds - LATE_SEARCH_SECONDS
        if left <= 0:
            raise
        return find_order_early(operations, start, partial(step, forgets=False), Tree.key, left)


def operations_of(calls: list[Call]) -> list[Operation]:
    """The moments of calls, as ``step`` has them."""
    operations = []
    for call in calls:
        looks = call.verb in ("read", "list", "peek") or call.answer == FAILED
        if looks and call.answered_at is None:
            continue
        for how in ("look",) if looks else ("follow", "change"):
            operations.append(Operation((how, call), call.called_at, call.answered_at, only_reads=looks))
    return operations
