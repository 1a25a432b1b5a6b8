"""stat_many: attributes of many paths from one snapshot."""

from __future__ import annotations

from oastfs.core.errors import InvalidArgument, OastError
from oastfs.core.limits import BATCH_MAX
from oastfs.core.types import Fault, FileStatus
from oastfs.namenode.context import Context
from oastfs.namenode.ops.stat import stat
from oastfs.store.transaction import Transaction


def stat_many(tx: Transaction, context: Context, paths: list[str], follow: bool) -> list[FileStatus | Fault]:
    """``stat`` of each; one that fails does not fail the others."""
    if len(paths) > BATCH_MAX:
        raise InvalidArgument(f"a batch may hold {BATCH_MAX} paths at most")
    answers: list[FileStatus | Fault] = []
    for path in paths:
        try:
            answers.append(stat(tx, context, path, follow))
        except OastError as error:
            answers.append(Fault(type(error).__name__, error.message))
    return answers
