"""write_many: many small files in one durable transaction."""

from __future__ import annotations

from oastfs.core.errors import InvalidArgument, OastError
from oastfs.core.limits import BATCH_MAX
from oastfs.core.types import Fault, FileStatus, WriteRequest
from oastfs.namenode.context import Context
from oastfs.namenode.ops.write_file import write_file
from oastfs.store.transaction import Transaction


def write_many(
    tx: Transaction, context: Context, requests: list[WriteRequest], parents: bool
) -> list[FileStatus | Fault]:
    """``write_file`` of each. One that is refused changes nothing and does not stop the others."""
    if len(requests) > BATCH_MAX:
        raise InvalidArgument(f"a batch may hold {BATCH_MAX} files at most")
    answers: list[FileStatus | Fault] = []
    for one in requests:
        try:
            answers.append(write_file(tx, context, one.path, one.data, one.mode, one.overwrite, parents))
        except OastError as error:
            answers.append(Fault(type(error).__name__, error.message))
    return answers
