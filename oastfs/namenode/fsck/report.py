"""What a check finds, and what its parts share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from oastfs.core.errors import StaleHandle, StoreError
from oastfs.core.types import FilesystemInfo
from oastfs.namenode import tree
from oastfs.namenode.context import Context
from oastfs.store.schema import INODE, LINKED_INODE, ORPHANS_ID, PLACE, RECLAIM_ID, ROOT_ID, Inode
from oastfs.store.transaction import Transaction

PROBLEMS_MAX: Final = 10_000
"""More are counted, not kept: after a repair the next check keeps the next ones."""

SHOWN_MAX: Final = 50
"""Problems that the text of an error lists."""

HIDDEN: Final = (RECLAIM_ID, ORPHANS_ID)

Repair = Callable[[Transaction, Context], None]
"""Mends one thing; does nothing if it finds that it is whole."""


class DamagedError(StoreError):
    """The tables contradict each other: run ``oastfs fsck --repair``."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong. ``code`` says which kind, ``where`` a path or a row."""

    code: str
    where: str
    text: str
    repair: Repair | None = field(default=None, compare=False, repr=False)

    @property
    def repairable(self) -> bool:
        return self.repair is not None

    def __str__(self) -> str:
        return f"{self.code}: {self.where}: {self.text}"


@dataclass
class Report:
    """The outcome of a check."""

    problems: list[Problem] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    """Problems by code, also of those that are not kept."""
    health: list[Problem] = field(default_factory=list)
    """Blocks whose replicas are not as they should be: missing, under-replicated, stale, corrupt."""
    health_counts: Counter[str] = field(default_factory=Counter)
    checked: Counter[str] = field(default_factory=Counter)
    """Rows that were looked at, by table."""
    repaired: list[Problem] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether every invariant holds."""
        return not self.counts

    def raise_if_problems(self, *, health: bool = False) -> None:
        """Raise DamagedError naming them; with ``health`` also for blocks that lack replicas."""
        found = self.problems + (self.health if health else [])
        if found:
            lines = [str(problem) for problem in found[:SHOWN_MAX]]
            total = self.counts.total() + (self.health_counts.total() if health else 0)
            if total > len(lines):
                lines.append(f"... and {total - len(lines)} more")
            raise DamagedError("fsck found problems:\n" + "\n".join(lines))


class Check:
    """One run over one snapshot."""

    def __init__(
        self,
        tx: Transaction,
        report: Report,
        info: FilesystemInfo,
        now_ns: int,
        dead_after_ns: int,
    ) -> None:
        self.tx = tx
        self.report = report
        self.info = info
        self.now_ns = now_ns
        self.dead_after_ns = dead_after_ns
        self.highest: Counter[str] = Counter()
        """The highest id seen in use, by counter."""

    def problem(self, code: str, where: str, text: str, repair: Repair | None = None) -> None:
        """Note something that is wrong."""
        self.report.counts[code] += 1
        if len(self.report.problems) < PROBLEMS_MAX:
            self.report.problems.append(Problem(code, where, text, repair))

    def unhealthy(self, code: str, where: str, text: str) -> None:
        """Note a block that lacks replicas."""
        self.report.health_counts[code] += 1
        if len(self.report.health) < PROBLEMS_MAX:
            self.report.health.append(Problem(code, where, text))

    def where(self, inode_id: int) -> str:
        """The path of an inode as far as there is one."""
        return where(self.tx, inode_id)


def where(tx: Transaction, inode_id: int) -> str:
    """The path of an inode, or its id if it has none."""
    try:
        return tree.path_of(tx, inode_id)
    except StaleHandle:
        return f"inode {inode_id}"


def entry_path(tx: Transaction, parent_id: int, name: str) -> str:
    """The path of an entry, even if its inode says it is elsewhere."""
    if parent_id in HIDDEN or parent_id == 0:
        return f"inode {parent_id}, entry {name!r}"
    above = where(tx, parent_id)
    return f"/{name}" if above == "/" else f"{above}/{name}"


def find(tx: Transaction, inode_id: int) -> tree.Node | None:
    """The inode of an id with its attributes, or None if any row on the way is missing or wrong."""
    if inode_id == ROOT_ID:
        entry = tx.get(INODE, tree.ROOT_KEY)
        return None if entry is None else tree.Node(0, "", entry)
    place = tx.get(PLACE, (inode_id,))
    entry = None if place is None else tx.get(INODE, (place.parent_id, place.name))
    if place is None or entry is None or entry.id != inode_id:
        return None
    inode: Inode | None = entry
    if tree.is_linked(tree.Node(0, "", entry)):
        inode = tx.get(LINKED_INODE, (inode_id,))
    return None if inode is None else tree.Node(place.parent_id, place.name, inode)
