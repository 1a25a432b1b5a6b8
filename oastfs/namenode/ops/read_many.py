"""read_many: contents of many small files in one trip."""

from __future__ import annotations

from oastfs.core.errors import InvalidArgument, OastError
from oastfs.core.limits import BATCH_MAX
from oastfs.core.types import Fault, Opened
from oastfs.namenode.context import Context
from oastfs.namenode.ops.open import open as open_file
from oastfs.store.transaction import Transaction

ANSWER_BYTES_MAX = 32 * 1024 * 1024


def read_many(tx: Transaction, context: Context, paths: list[str]) -> list[Opened | Fault]:
    """``open`` of each, until the answer is large enough: the caller asks again for the rest."""
    if len(paths) > BATCH_MAX:
        raise InvalidArgument(f"a batch may hold {BATCH_MAX} paths at most")
    answers: list[Opened | Fault] = []
    size_bytes = 0
    for path in paths:
        try:
            opened = open_file(tx, context, path, 0, 1 << 62)
        except OastError as error:
            answers.append(Fault(type(error).__name__, error.message))
            continue
        answers.append(opened)
        size_bytes += len(opened.data) if opened.data else 0
        if size_bytes >= ANSWER_BYTES_MAX:
            break
    return answers
