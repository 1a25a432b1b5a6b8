"""Replicas, what is to be done about them, and the storages and datanodes that hold them."""

from __future__ import annotations

from itertools import groupby

from oastfs.namenode.blocks.commands import order_delete
from oastfs.namenode.context import Context
from oastfs.namenode.fsck import mend
from oastfs.namenode.fsck.report import Check, Repair
from oastfs.store.schema import (
    BLOCK_OWNER,
    DATANODE,
    DATANODE_COMMAND,
    DATANODE_NAME,
    REPLICA,
    REPLICATION_NEED,
    STORAGE,
    STORAGE_NAME,
    DatanodeName,
    StorageName,
)
from oastfs.store.transaction import Transaction


def check_replicas(check: Check) -> None:
    """Every replica is of a block and on a storage, every storage of a datanode, every command to one."""
    _check_datanodes(check)
    _check_storages(check)
    storages = {int(key[0]) for key, _ in check.tx.scan(STORAGE)}
    _check_replica_rows(check, storages)
    _check_needs(check)
    _check_commands(check)


def _check_replica_rows(check: Check, storages: set[int]) -> None:
    tx = check.tx
    for key, rows in groupby(tx.scan(REPLICA), key=lambda row: row[0][0]):
        block_id = int(key)
        owned = tx.get(BLOCK_OWNER, (block_id,)) is not None
        for (_, storage), _ in rows:
            storage_id = int(storage)
            check.report.checked["replica"] += 1
            where = f"replica of block {block_id} on storage {storage_id}"
            if not owned:
                repair = _drop_replica(block_id, storage_id)
                check.problem("replica-without-block", where, "there is no such block", repair)
            elif storage_id not in storages:
                repair = mend.delete_row(REPLICA, (block_id, storage_id))
                check.problem("replica-without-storage", where, "there is no such storage", repair)


def _check_needs(check: Check) -> None:
    for (key,), _ in check.tx.scan(REPLICATION_NEED):
        check.report.checked["replication_need"] += 1
        if check.tx.get(BLOCK_OWNER, (key,)) is None:
            text = "it is queued for replication, and does not exist"
            repair = mend.delete_row(REPLICATION_NEED, (key,))
            check.problem("need-without-block", f"block {key}", text, repair)


def _check_commands(check: Check) -> None:
    known = {int(key[0]) for key, _ in check.tx.scan(DATANODE)}
    for key, _ in check.tx.scan(DATANODE_COMMAND):
        check.report.checked["datanode_command"] += 1
        if key[0] not in known:
            text = f"a command to datanode {key[0]}, which does not exist"
            repair = mend.delete_row(DATANODE_COMMAND, key)
            check.problem("command-without-datanode", f"block {key[1]}", text, repair)


def _check_datanodes(check: Check) -> None:
    tx = check.tx
    for (key,), row in tx.scan(DATANODE):
        datanode_id = int(key)
        check.report.checked["datanode"] += 1
        check.highest["datanode"] = max(check.highest["datanode"], datanode_id)
        name = tx.get(DATANODE_NAME, (row.uuid,))
        if name is None or name.datanode_id != datanode_id:
            text = f"its uuid {row.uuid} leads to another datanode, or none"
            check.problem("datanode-name", f"datanode {datanode_id}", text, _put_datanode_name(datanode_id))
    for (uuid,), datanode_name in tx.scan(DATANODE_NAME):
        datanode = tx.get(DATANODE, (datanode_name.datanode_id,))
        if datanode is None or datanode.uuid != uuid:
            text = f"it leads to datanode {datanode_name.datanode_id}, which is another or none"
            repair = mend.delete_row(DATANODE_NAME, (uuid,))
            check.problem("datanode-name", f"datanode uuid {uuid}", text, repair)


def _check_storages(check: Check) -> None:
    tx = check.tx
    for (key,), row in tx.scan(STORAGE):
        storage_id = int(key)
        check.report.checked["storage"] += 1
        check.highest["storage"] = max(check.highest["storage"], storage_id)
        if tx.get(DATANODE, (row.datanode_id,)) is None:
            text = f"datanode {row.datanode_id}, to which it belongs, does not exist"
            check.problem("storage-without-datanode", f"storage {storage_id}", text)
        name = tx.get(STORAGE_NAME, (row.uuid,))
        if name is None or name.storage_id != storage_id:
            text = f"its uuid {row.uuid} leads to another storage, or none"
            check.problem("storage-name", f"storage {storage_id}", text, _put_storage_name(storage_id))
    for (uuid,), storage_name in tx.scan(STORAGE_NAME):
        storage = tx.get(STORAGE, (storage_name.storage_id,))
        if storage is None or storage.uuid != uuid:
            text = f"it leads to storage {storage_name.storage_id}, which is another or none"
            repair = mend.delete_row(STORAGE_NAME, (uuid,))
            check.problem("storage-name", f"storage uuid {uuid}", text, repair)


def _drop_replica(block_id: int, storage_id: int) -> Repair:
    """The datanode is told, too."""

    def mend_it(tx: Transaction, context: Context) -> None:
        row = tx.get(REPLICA, (block_id, storage_id))
        if row is None or tx.get(BLOCK_OWNER, (block_id,)) is not None:
            return
        tx.delete(REPLICA, (block_id, storage_id))
        view = context.cluster.find(tx, context.now_ns, storage_id)
        if view is not None:
            order_delete(tx, view, block_id, row.generation_stamp)

    return mend_it


def _put_datanode_name(datanode_id: int) -> Repair:
    def mend_it(tx: Transaction, context: Context) -> None:
        row = tx.get(DATANODE, (datanode_id,))
        if row is not None and tx.get(DATANODE_NAME, (row.uuid,)) is None:
            tx.put(DATANODE_NAME, (row.uuid,), DatanodeName(datanode_id))

    return mend_it


def _put_storage_name(storage_id: int) -> Repair:
    def mend_it(tx: Transaction, context: Context) -> None:
        row = tx.get(STORAGE, (storage_id,))
        if row is not None and tx.get(STORAGE_NAME, (row.uuid,)) is None:
            tx.put(STORAGE_NAME, (row.uuid,), StorageName(storage_id))

    return mend_it
