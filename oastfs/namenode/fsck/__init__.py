"""fsck: whether every invariant of the tables holds, and making it hold again.

``check`` streams through the tables on one snapshot; its memory does not grow with the filesystem. ``repair``
mends what can be mended without guessing at content: each repair is a transaction that looks again. What
has lost its place in the tree is put into ``/lost+found``.

The state of blocks on datanodes (``health``) is told apart from damage (``problems``): a dead datanode
is no damage.
"""

from __future__ import annotations

import time

from oastfs.core.types import SUPERUSER
from oastfs.namenode.cluster import DEAD_AFTER_NS_DEFAULT
from oastfs.namenode.filesystem import load_info
from oastfs.namenode.fsck.attributes import check_attribute_tables
from oastfs.namenode.fsck.blocks import check_blocks
from oastfs.namenode.fsck.catalog import check_catalog
from oastfs.namenode.fsck.deep import ask_datanodes
from oastfs.namenode.fsck.entries import check_entries
from oastfs.namenode.fsck.indexes import check_indexes
from oastfs.namenode.fsck.links import check_links
from oastfs.namenode.fsck.locks import check_locks
from oastfs.namenode.fsck.quotas import check_quotas
from oastfs.namenode.fsck.replicas import check_replicas
from oastfs.namenode.fsck.report import Check, DamagedError, Problem, Report
from oastfs.namenode.namespace import Namespace
from oastfs.store.transaction import Store, Transaction

__all__ = ["DamagedError", "Problem", "Report", "check", "repair"]

ROUNDS_MAX = 5
"""Mending one thing may uncover another; more rounds than this mean that it does not come to rest."""


def check(
    store: Store,
    *,
    now_ns: int = 0,
    dead_after_ns: int = DEAD_AFTER_NS_DEFAULT,
    deep: bool = False,
) -> Report:
    """Check everything that the tables can tell; with ``deep`` also ask datanodes for every replica.

    ``now_ns`` (0: the clock's) decides which datanodes are alive.
    """
    info = load_info(store)
    report = Report()
    now_ns = now_ns or time.time_ns()

    def run(tx: Transaction) -> None:
        one = Check(tx, report, info, now_ns, dead_after_ns)
        for part in (
            check_entries,
            check_links,
            check_attribute_tables,
            check_quotas,
            check_blocks,
            check_replicas,
            check_locks,
            check_catalog,
            check_indexes,
        ):
            part(one)

    store.read(run)
    if deep:
        ask_datanodes(store, report, now_ns, dead_after_ns)
    return report


def repair(
    store: Store,
    *,
    now_ns: int = 0,
    dead_after_ns: int = DEAD_AFTER_NS_DEFAULT,
    deep: bool = False,
) -> Report:
    """Mend what can be mended; the report of the last check, with what was mended in ``repaired``.

    With ``deep``, replicas that datanodes do not have (any more) are given up, so that the replication job
    makes others; the report still tells of them, for that takes its time.
    """
    namespace = Namespace(store)
    repaired: list[Problem] = []
    report = check(store, now_ns=now_ns, dead_after_ns=dead_after_ns, deep=deep)
    mendable = report.problems + report.health
    for _ in range(ROUNDS_MAX):
        mendable = [problem for problem in mendable if problem.repairable]
        if not mendable:
            break
        for problem in mendable:
            _mend(namespace, problem, now_ns)
        repaired += mendable
        report = check(store, now_ns=now_ns, dead_after_ns=dead_after_ns)
        mendable = report.problems
    report.repaired = repaired
    return report


def _mend(namespace: Namespace, problem: Problem, now_ns: int) -> None:
    mend = problem.repair
    assert mend is not None
    context = namespace.context(SUPERUSER, now_ns)
    namespace.store.write(lambda tx: mend(tx, context))
