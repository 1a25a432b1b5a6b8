"""write_many: many small files in one durable transaction."""

from __future__ import annotations

from functools import partial

from oastfs.core.errors import InvalidArgument, OastError
from oastfs.core.limits import BATCH_MAX
from oastfs.core.types import Fault, FileStatus, WriteRequest
from oastfs.namenode import quotas
from oastfs.namenode.context import Context
from oastfs.namenode.ops.write_file import write_file
from oastfs.store.staged import keep_if_done
from oastfs.store.transaction import Transaction


def write_many(
    tx: Transaction, context: Context, requests: list[WriteRequest], parents: bool
) -> list[FileStatus | Fault]:
    """``write_file`` of each. One that is refused changes nothing and does not stop the others."""
    if len(requests) > BATCH_MAX:
        raise InvalidArgument(f"a batch may hold {BATCH_MAX} files at most")
    answers: list[FileStatus | Fault] = []
    # A quota may refuse a file when some of its rows are written already.
    undoable = quotas.active(tx)

    def write(tx: Transaction, one: WriteRequest) -> FileStatus:
        return write_file(tx, context, one.path, one.data, one.mode, one.overwrite, parents)

    for one in requests:
        try:
            answers.append(keep_if_done(tx, partial(write, one=one)) if undoable else write(tx, one))
        except OastError as error:
            answers.append(Fault(type(error).__name__, error.message))
    return answers
