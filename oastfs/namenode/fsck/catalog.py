"""Users and groups, and the counters that ids are taken from."""

from __future__ import annotations

from oastfs.namenode.context import Context
from oastfs.namenode.fsck import mend
from oastfs.namenode.fsck.report import Check, Repair
from oastfs.store.schema import (
    COUNTER,
    PRINCIPAL_ID,
    PRINCIPAL_NAME,
    Counter,
    PrincipalId,
    PrincipalName,
)
from oastfs.store.table import PARTITION_BITS
from oastfs.store.transaction import Transaction


def check_catalog(check: Check) -> None:
    """Names and ids of principals lead to each other; counters are above every id in use."""
    _check_principals(check)
    highest = dict(check.highest)
    highest["inode"] = highest.get("inode", 0) >> PARTITION_BITS
    for name, used in highest.items():
        row = check.tx.get(COUNTER, (name,))
        if used and (row is None or row.value <= used):
            value = 0 if row is None else row.value
            text = f"it is at {value}, and {used} is in use: ids would be given out again"
            check.problem("counter", f"counter {name}", text, _raise_counter(name, used + 1))


def _check_principals(check: Check) -> None:
    tx = check.tx
    for (kind, name), row in tx.scan(PRINCIPAL_ID):
        check.report.checked["principal_id"] += 1
        back = tx.get(PRINCIPAL_NAME, (kind, row.id))
        if back is None:
            text = f"its id {row.id} does not lead back to it"
            repair = _put_name(str(kind), str(name))
            check.problem("principal", f"{kind} {name}", text, repair)
        elif back.name != name:
            text = f"its id {row.id} is that of {back.name}"
            check.problem("principal", f"{kind} {name}", text, mend.delete_row(PRINCIPAL_ID, (kind, name)))
    for (kind, number), named in tx.scan(PRINCIPAL_NAME):
        check.report.checked["principal_name"] += 1
        if tx.get(PRINCIPAL_ID, (kind, named.name)) is None:
            text = f"its name {named.name} does not lead back to it"
            repair = _put_id(str(kind), int(number))
            check.problem("principal", f"{kind} {number}", text, repair)


def _raise_counter(name: str, value: int) -> Repair:
    def mend_it(tx: Transaction, context: Context) -> None:
        row = tx.get(COUNTER, (name,))
        if row is None or row.value < value:
            tx.put(COUNTER, (name,), Counter(value))

    return mend_it


def _put_name(kind: str, name: str) -> Repair:
    def mend_it(tx: Transaction, context: Context) -> None:
        row = tx.get(PRINCIPAL_ID, (kind, name))
        if row is not None and tx.get(PRINCIPAL_NAME, (kind, row.id)) is None:
            tx.put(PRINCIPAL_NAME, (kind, row.id), PrincipalName(name))

    return mend_it


def _put_id(kind: str, number: int) -> Repair:
    def mend_it(tx: Transaction, context: Context) -> None:
        row = tx.get(PRINCIPAL_NAME, (kind, number))
        if row is not None and tx.get(PRINCIPAL_ID, (kind, row.name)) is None:
            tx.put(PRINCIPAL_ID, (kind, row.name), PrincipalId(number))

    return mend_it
