"""Background work: what operations leave to be done later.

Each job does one bounded step at a time, in transactions that look again at what they change. So a job may
be killed anywhere and go on later, and it does no harm if two namenodes are at the same one, as may happen
for a moment when another comes to lead. All of them look after the whole store, so the leader runs them
(``election.py``): two would only do the same work twice, and get in each other's way.
"""

from __future__ import annotations

from collections.abc import Callable

from oastfs.namenode.jobs.base import Job
from oastfs.namenode.jobs.commands import CommandExpiry
from oastfs.namenode.jobs.failures import FailureDetection
from oastfs.namenode.jobs.leases import LeaseExpiry
from oastfs.namenode.jobs.locks import LockExpiry
from oastfs.namenode.jobs.orphans import Orphans
from oastfs.namenode.jobs.reclaim import Reclaim
from oastfs.namenode.jobs.replication import Replication
from oastfs.namenode.jobs.retries import RetryExpiry
from oastfs.namenode.jobs.runner import JobRunner
from oastfs.namenode.jobs.trash import TrashEmptier
from oastfs.namenode.namespace import Namespace

__all__ = ["Job", "JobRunner", "all_jobs"]


def all_jobs(namespace: Namespace, leads: Callable[[], bool] = lambda: True) -> list[Job]:
    """One of each. ``leads``: whether this namenode leads."""
    others = (
        Replication,
        Reclaim,
        LeaseExpiry,
        LockExpiry,
        Orphans,
        RetryExpiry,
        CommandExpiry,
        TrashEmptier,
    )
    return [FailureDetection(namespace, leads), *(kind(namespace) for kind in others)]
