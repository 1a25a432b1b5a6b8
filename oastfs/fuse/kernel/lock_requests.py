"""The kernel's requests about locks, and the ends of files that have some."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from oastfs.core.errors import LockHeld
from oastfs.core.types import LOCK_END, FileLock, LockKind, LockType
from oastfs.fuse.effects import Operation
from oastfs.fuse.kernel import protocol as p
from oastfs.fuse.kernel.answers import Answer, Handler, Later, Who
from oastfs.fuse.kernel.protocol import Opcode
from oastfs.fuse.locks import Locks

_EMPTY: Final = b""


class LockRequests:
    """Handlers by opcode (``table``)."""

    def __init__(self, locks: Locks) -> None:
        self._locks = locks
        self.handle_of = locks.handle_of
        self.table: dict[int, Handler] = {
            Opcode.GETLK: self.getlk,
            Opcode.SETLK: self.setlk,
            Opcode.SETLKW: self.setlkw,
            Opcode.INTERRUPT: self.interrupt,
        }

    def getlk(self, node: int, body: bytes, who: Who) -> Operation[Answer]:
        found = yield from self._locks.query(node, _lock(body)[1])
        if found is None:
            return p.LOCK_OUT.pack(0, 0, LockType.UNLOCK, 0)
        return p.LOCK_OUT.pack(found.start, found.end, found.type, found.pid)

    def setlk(self, node: int, body: bytes, who: Who) -> Operation[Answer]:
        handle, lock = _lock(body)
        return _done(self._locks.set(node, handle, lock))

    def setlkw(self, node: int, body: bytes, who: Who) -> Operation[Answer]:
        locks = self._locks
        handle, lock = _lock(body)
        if lock.type is LockType.UNLOCK or not locks.has_waiters(node):
            try:
                yield from locks.set(node, handle, lock)
                return _EMPTY
            except LockHeld:
                pass
        return Later(partial(locks.wait, node, handle, lock))

    def interrupt(self, node: int, body: bytes, who: Who) -> Answer:
        self._locks.interrupt(*p.INTERRUPT_IN.unpack_from(body))
        return None

    def close(self, node: int, body: bytes, flush: Operation[Any] | None) -> Operation[Answer]:
        """FLUSH of a file that has locks."""
        _, _, _, owner = p.FLUSH_IN.unpack_from(body)
        return _done(self._locks.close(node, owner, flush))

    def release(
        self, node: int, body: bytes, release: Callable[[int], Operation[None] | None]
    ) -> Operation[Answer]:
        """RELEASE of a file that has locks."""
        handle, _, flags, owner = p.RELEASE_IN.unpack_from(body)
        flock_owner = owner if flags & p.RELEASE_FLOCK_UNLOCK else None
        return _done(self._locks.release(node, handle, flock_owner, partial(release, node)))


def _done(operation: Operation[Any]) -> Operation[Answer]:
    yield from operation
    return _EMPTY


def _lock(body: bytes) -> tuple[int, FileLock]:
    """The handle that is used, and what it is about."""
    handle, owner, start, end, kind, pid, flags, _ = p.LOCK_IN.unpack_from(body)
    of = LockKind.FLOCK if flags & p.LOCK_FLOCK else LockKind.POSIX
    return handle, FileLock(of, LockType(kind), owner, pid, start, min(end, LOCK_END))
