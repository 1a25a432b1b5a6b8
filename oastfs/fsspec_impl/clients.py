"""The clients that filesystem objects stand on: one for equal options in a process, whatever the threads.

fsspec makes a filesystem object in each thread. Connections, caches and a store in direct mode are shared
by all of them through here, and closed when the last object is gone, or at exit.
"""

from __future__ import annotations

import grp
import os
import pwd
import threading
import weakref
from typing import Final, NamedTuple

from oastfs.client import Filesystem, connect
from oastfs.core.types import Caller


class Options(NamedTuple):
    """What tells one client from another."""

    url: str | None
    metadata: tuple[str, ...]
    user: str | None
    timeout_seconds: float
    environment_url: str | None
    """What stands in OASTFS_URL, where that decides."""


class SharedClient:
    """A client, closed when nobody refers to this any more."""

    def __init__(self, options: Options) -> None:
        self.filesystem = _connect(options)
        weakref.finalize(self, _close, self.filesystem)


def _close(filesystem: Filesystem) -> None:
    if _process == os.getpid():
        filesystem.close()
    else:
        # A child that was just forked: fsspec forgets its objects before clients know whose they are.
        _left_behind.append(filesystem)


_process = os.getpid()
"""The process that clients are used in, as far as they know."""
_left_behind: Final[list[Filesystem]] = []
"""Kept, so that nothing of the parent's is freed."""
_lock = threading.Lock()
_clients: weakref.WeakValueDictionary[Options, SharedClient] = weakref.WeakValueDictionary()


def shared_client(options: Options) -> SharedClient:
    """The client for these options. Raises as ``connect``."""
    with _lock:
        client = _clients.get(options)
        if client is None:
            client = _clients[options] = SharedClient(options)
        return client


def _connect(options: Options) -> Filesystem:
    metadata = list(options.metadata) or None
    filesystem = connect(options.url, metadata=metadata, timeout_seconds=options.timeout_seconds)
    if options.user is None:
        return filesystem
    try:
        caller = caller_named(options.user, filesystem)
    finally:
        filesystem.close()
    return connect(options.url, metadata=metadata, caller=caller, timeout_seconds=options.timeout_seconds)


def caller_named(user: str, filesystem: Filesystem) -> Caller:
    """A user by name: as this machine knows it, or else by the ids that the filesystem gives."""
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        (uid,), (gid,) = filesystem.metadata.principal_ids(filesystem.caller, [user], [user])
        return Caller(user, uid, (gid,))
    groups = [entry.pw_gid, *(group.gr_gid for group in grp.getgrall() if user in group.gr_mem)]
    return Caller(user, entry.pw_uid, tuple(dict.fromkeys(groups)))


def _after_fork() -> None:
    """The clients themselves know how to go on."""
    global _lock, _process
    _lock = threading.Lock()  # a thread of the parent may have held it
    _process = os.getpid()


os.register_at_fork(after_in_child=_after_fork)
