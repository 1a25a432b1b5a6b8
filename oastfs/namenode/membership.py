"""Datanodes joining the filesystem and staying in it: registration, heartbeats, commands.

Transactions only; ``control.py`` brings them to the network. What a datanode says of itself is checked
before it becomes a row, for it comes from outside.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from oastfs.core.errors import AlreadyExists, ForeignDatanode, InvalidArgument, NotFound
from oastfs.namenode.blocks.commands import COPY
from oastfs.namenode.cluster import (
    DATANODE_DEAD,
    DATANODE_DECOMMISSIONING,
    DATANODE_LIVE,
    DEFAULT_RACK,
    STORAGE_FAILED,
    STORAGE_NORMAL,
)
from oastfs.namenode.context import Context
from oastfs.store.schema import (
    COUNTER,
    DATANODE,
    DATANODE_COMMAND,
    DATANODE_NAME,
    STORAGE,
    STORAGE_NAME,
    Counter,
    Datanode,
    DatanodeCommand,
    DatanodeName,
    Storage,
    StorageName,
)
from oastfs.store.table import Lock
from oastfs.store.transaction import Transaction

STORAGES_MAX: Final = 256
TEXT_BYTES_MAX: Final = 200
SOCKET_PATH_BYTES_MAX: Final = 107
"""Linux's limit on the path of a Unix socket."""
RACK_CHARACTERS_MAX: Final = 200
_BYTES_MAX: Final = (1 << 63) - 1

COMMANDS_MAX: Final = 1_000
COPIES_MAX: Final = 16
"""Commands, and copies among them, that one heartbeat hands out at most."""
AGAIN_NS: Final = 60 * 10**9
"""A command that is not reported as done is handed out again after this time."""

_replace = msgspec.structs.replace


class StorageReport(NamedTuple):
    """One volume as its datanode describes it. Sizes in bytes."""

    uuid: str
    storage_type: str
    capacity: int
    used: int
    remaining: int
    failed: bool


class Registration(NamedTuple):
    """What a datanode says of itself when it joins; see ``control.proto``."""

    filesystem_id: str
    uuid: str
    host: str
    data_port: int
    control_port: int
    local_socket: str
    storages: list[StorageReport]
    http_port: int = 0
    rack: str = ""
    """Network location (HDFS's topology); empty: as it was, or the default."""


class Registered(NamedTuple):
    """Ids given to a datanode and, in the order of its report, to its storages."""

    datanode_id: int
    storage_ids: list[int]


def register(tx: Transaction, context: Context, request: Registration) -> Registered:
    """Let a datanode join, or join again. Raises ForeignDatanode, AlreadyExists, InvalidArgument.

    The same uuid at another address is the same datanode, moved, unless the other one is alive: then
    one of both is a copy, and must not write.
    """
    _check(context, request)
    name = tx.get(DATANODE_NAME, (request.uuid,), Lock.EXCLUSIVE)
    datanode_id = _next_id(tx, "datanode") if name is None else name.datanode_id
    known = None if name is None else tx.get(DATANODE, (datanode_id,), Lock.EXCLUSIVE)
    if known is not None and _is_elsewhere(context, known, request):
        raise AlreadyExists(
            f"a live datanode at {known.host}:{known.data_port} has uuid {request.uuid}: "
            "one of both is a copy of the other's volumes"
        )
    kept = DATANODE_DECOMMISSIONING if known and known.state == DATANODE_DECOMMISSIONING else DATANODE_LIVE
    totals = _totals(request.storages)
    row = Datanode(
        request.uuid,
        request.host,
        request.data_port,
        request.control_port,
        request.local_socket,
        context.now_ns,
        kept,
        known.registered_ns if known else context.now_ns,
        request.rack or (known.rack if known else DEFAULT_RACK),
        *totals,
        http_port=request.http_port,
    )
    tx.put(DATANODE_NAME, (request.uuid,), DatanodeName(datanode_id))
    tx.put(DATANODE, (datanode_id,), row)
    ids = [_register_storage(tx, context, datanode_id, one) for one in request.storages]
    _fail_unlisted(tx, datanode_id, set(ids))
    context.cluster.forget()
    return Registered(datanode_id, ids)


def beat_is_news(
    tx: Transaction, context: Context, datanode_id: int, uuid: str, storages: list[StorageReport]
) -> bool:
    """Whether a heartbeat is worth a write. Raises NotFound if the datanode has to register (again)."""
    row = _require_registered(tx, datanode_id, uuid)
    # Of two clocks that differ by much, both stamp: the row has to change as long as there are heartbeats.
    if abs(context.now_ns - row.heartbeat_ns) >= context.cluster.dead_after_ns // 6:
        return True
    for one in storages:
        storage = _storage_of(tx, datanode_id, one.uuid)[1]
        if one.failed != (storage.state != STORAGE_NORMAL):
            return True
    return any(True for _ in due_commands(tx, context.now_ns, datanode_id))


def beat(
    tx: Transaction,
    context: Context,
    datanode_id: int,
    uuid: str,
    storages: list[StorageReport],
    active_transfers: int,
) -> list[tuple[int, int, DatanodeCommand]]:
    """Note that a datanode is alive; the commands for it, as (block id, kind, command)."""
    row = _require_registered(tx, datanode_id, uuid)
    _check_storages(storages)
    for one in storages:
        storage_id, storage = _storage_of(tx, datanode_id, one.uuid)
        state = storage.state
        if one.failed == (state == STORAGE_NORMAL):
            state = STORAGE_FAILED if one.failed else STORAGE_NORMAL
            context.cluster.forget()
        changed = _replace(
            storage, capacity=one.capacity, used=one.used, remaining=one.remaining, state=state
        )
        if changed != storage:
            tx.put(STORAGE, (storage_id,), changed)
    capacity, used, remaining = _totals(storages)
    tx.put(
        DATANODE,
        (datanode_id,),
        _replace(
            row,
            heartbeat_ns=context.now_ns,
            capacity=capacity,
            used=used,
            remaining=remaining,
            active_transfers=active_transfers,
        ),
    )
    return _hand_out(tx, context.now_ns, datanode_id)


def due_commands(
    tx: Transaction, now_ns: int, datanode_id: int
) -> list[tuple[tuple[int, int, int], DatanodeCommand]]:
    """Commands that are to be handed out now."""
    found: list[tuple[tuple[int, int, int], DatanodeCommand]] = []
    copies = 0
    for key, command in tx.scan(DATANODE_COMMAND, (datanode_id,)):
        if command.due_ns > now_ns:
            continue
        if key[2] == COPY:
            copies += 1
            if copies > COPIES_MAX:
                continue
        found.append(((int(key[0]), int(key[1]), int(key[2])), command))
        if len(found) == COMMANDS_MAX:
            break
    return found


def require_datanode(tx: Transaction, datanode_id: int) -> Datanode:
    """The row of a datanode that takes part. Raises NotFound if it has to register (again)."""
    row = tx.get(DATANODE, (datanode_id,))
    if row is None or row.state == DATANODE_DEAD:
        raise NotFound(f"datanode {datanode_id} is not registered, or was taken for dead: register again")
    return row


def _hand_out(tx: Transaction, now_ns: int, datanode_id: int) -> list[tuple[int, int, DatanodeCommand]]:
    handed = []
    for key, command in due_commands(tx, now_ns, datanode_id):
        tx.put(DATANODE_COMMAND, key, _replace(command, due_ns=now_ns + AGAIN_NS))
        handed.append((key[1], key[2], command))
    return handed


def _require_registered(tx: Transaction, datanode_id: int, uuid: str) -> Datanode:
    row = require_datanode(tx, datanode_id)
    if row.uuid != uuid:
        raise NotFound(f"datanode {datanode_id} is not {uuid}: register again")
    return row


def _is_elsewhere(context: Context, known: Datanode, request: Registration) -> bool:
    same = (known.host, known.data_port) == (request.host, request.data_port)
    silent = context.now_ns - known.heartbeat_ns >= context.cluster.dead_after_ns
    return not same and not silent and known.state != DATANODE_DEAD


def _register_storage(tx: Transaction, context: Context, datanode_id: int, report: StorageReport) -> int:
    name = tx.get(STORAGE_NAME, (report.uuid,), Lock.EXCLUSIVE)
    storage_id = _next_id(tx, "storage") if name is None else name.storage_id
    known = None if name is None else tx.get(STORAGE, (storage_id,), Lock.EXCLUSIVE)
    if known is not None and known.datanode_id != datanode_id:
        other = tx.get(DATANODE, (known.datanode_id,))
        silent = other is None or context.now_ns - other.heartbeat_ns >= context.cluster.dead_after_ns
        if not silent and known.state == STORAGE_NORMAL:
            raise AlreadyExists(
                f"storage {report.uuid} is in use by live datanode {known.datanode_id}: is it a copy?"
            )
    tx.put(STORAGE_NAME, (report.uuid,), StorageName(storage_id))
    row = Storage(
        report.uuid,
        datanode_id,
        report.storage_type or "DISK",
        report.capacity,
        report.used,
        report.remaining,
        STORAGE_FAILED if report.failed else STORAGE_NORMAL,
    )
    tx.put(STORAGE, (storage_id,), row)
    return storage_id


def _fail_unlisted(tx: Transaction, datanode_id: int, listed: set[int]) -> None:
    """A volume that the datanode no longer has is lost."""
    for key, row in list(tx.scan(STORAGE)):
        if row.datanode_id == datanode_id and row.state == STORAGE_NORMAL and key[0] not in listed:
            tx.put(STORAGE, key, _replace(row, state=STORAGE_FAILED))


def _storage_of(tx: Transaction, datanode_id: int, uuid: str) -> tuple[int, Storage]:
    name = tx.get(STORAGE_NAME, (uuid,)) if _is_text(uuid) else None
    storage = None if name is None else tx.get(STORAGE, (name.storage_id,))
    if name is None or storage is None or storage.datanode_id != datanode_id:
        raise NotFound(f"storage {uuid} is not registered with datanode {datanode_id}: register again")
    return name.storage_id, storage


def _next_id(tx: Transaction, name: str) -> int:
    """Small numbers, from 1: there are few datanodes."""
    row = tx.get(COUNTER, (name,), Lock.EXCLUSIVE)
    number = 1 if row is None else row.value
    tx.put(COUNTER, (name,), Counter(number + 1))
    return number


def _totals(storages: list[StorageReport]) -> tuple[int, int, int]:
    working = [one for one in storages if not one.failed]
    return (
        sum(one.capacity for one in working),
        sum(one.used for one in working),
        sum(one.remaining for one in working),
    )


def _check(context: Context, request: Registration) -> None:
    if request.filesystem_id not in ("", context.info.filesystem_id):
        raise ForeignDatanode(
            f"the datanode belongs to filesystem {request.filesystem_id}, "
            f"this is {context.info.filesystem_id}"
        )
    if not (_is_text(request.uuid) and _is_text(request.host)):
        raise InvalidArgument("a datanode needs a uuid and a host")
    others = (request.control_port, request.http_port)
    if not 1 <= request.data_port <= 65_535 or not all(0 <= port <= 65_535 for port in others):
        raise InvalidArgument(f"not ports: {request.data_port}, {others}")
    path = request.local_socket
    if path and (not path.startswith("/") or len(path.encode()) > SOCKET_PATH_BYTES_MAX):
        raise InvalidArgument(f"not the path of a Unix socket: {path!r}")
    if request.rack and not _is_rack(request.rack):
        raise InvalidArgument(f"a rack is a path such as /rack1, not {request.rack!r}")
    if not request.storages:
        raise InvalidArgument("a datanode needs a storage")
    _check_storages(request.storages)


def _is_rack(rack: str) -> bool:
    parts = rack.split("/")
    return not parts[0] and all(parts[1:]) and len(rack) <= RACK_CHARACTERS_MAX and rack.isprintable()


def _check_storages(storages: list[StorageReport]) -> None:
    uuids = {one.uuid for one in storages}
    if len(uuids) != len(storages) or len(storages) > STORAGES_MAX:
        raise InvalidArgument(f"a datanode has up to {STORAGES_MAX} storages with different uuids")
    for one in storages:
        if not _is_text(one.uuid) or len(one.storage_type) > 32:
            raise InvalidArgument(f"not a storage: {one.uuid!r} of type {one.storage_type!r}")
        if max(one.capacity, one.used, one.remaining) > _BYTES_MAX:
            raise InvalidArgument(f"sizes of storage {one.uuid} are out of range")
    if sum(one.capacity for one in storages) > _BYTES_MAX:
        raise InvalidArgument("the sum of all capacities is out of range")


def _is_text(text: str) -> bool:
    return bool(text) and "\0" not in text and len(text.encode()) <= TEXT_BYTES_MAX
