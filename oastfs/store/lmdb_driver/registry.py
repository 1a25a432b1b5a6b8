"""The environments that this process has open, each once, and what becomes of them in a forked child.

LMDB's locks belong to the process that opened the environment. A child must neither use nor close what it
inherited: closing would free the parent's reader slots. So it keeps the inherited objects for ever, marked,
and every store opens the directory again when it is next used. Stores need no test for this on their
paths: the mark is a raised barrier.
"""

from __future__ import annotations

import atexit
import ctypes
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import lmdb._envid

from oastfs.core.errors import StoreError
from oastfs.store.lmdb_driver.committer import Committer
from oastfs.store.lmdb_driver.environment import Environment, Options, data_file_identity

_log = logging.getLogger(__name__)


@dataclass
class Shared:
    """An environment, its committer, and how many stores use them."""

    environment: Environment
    committer: Committer
    references: int = 0


_shared: dict[str, Shared] = {}
lock = threading.RLock()
"""Held while environments are opened and closed."""


def acquire(path: Path, options: Options, *, create: bool) -> Shared:
    """The environment of a directory, opened if this process has not. Options count on opening only."""
    name = os.path.realpath(path)
    with lock:
        shared = _shared.get(name)
        # Another file in the same place: the directory was removed and made anew under an open store.
        if shared is None or shared.environment.identity != data_file_identity(Path(name)):
            environment = Environment(Path(name), options, create)
            shared = _shared[name] = Shared(environment, Committer(environment))
        shared.references += 1
        return shared


def release(shared: Shared) -> None:
    """Give back what ``acquire`` gave; the last one closes."""
    with lock:
        shared.references -= 1
        if shared.references:
            return
        name = str(shared.environment.path)
        if _shared.get(name) is shared:
            del _shared[name]
        shared.committer.close()


def _after_fork_in_child() -> None:
    global lock
    lock = threading.RLock()
    for shared in _shared.values():
        shared.environment.become_inherited()
        # Never freed, not even as the interpreter ends: freeing is closing.
        for held in (shared.environment.handle, shared.committer.kept.txn):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(held))
    if _shared:
        _forget_open_files()
    _shared.clear()


def _forget_open_files() -> None:
    """Let this process open files that its parent has open.

    The binding remembers files that are open, to refuse opening one twice, and a child inherits that memory.
    With the process id in a file's name there, the child's files are others than the parent's.
    """
    known: Callable[[str, bool], tuple[object, ...]] = lmdb._envid.env_keys
    pid = os.getpid()

    def named_by_process(path: str, subdir: bool) -> tuple[object, ...]:
        return tuple((pid, key) for key in known(path, subdir))

    lmdb._envid.env_keys = named_by_process


def _close_all() -> None:
    """As the interpreter ends: a store's thread that it stops inside a transaction would hang it."""
    for shared in list(_shared.values()):
        try:
            shared.committer.close()
        except StoreError as error:
            _log.warning("the store %s was not closed: %s", shared.environment.path, error)


atexit.register(_close_all)
os.register_at_fork(after_in_child=_after_fork_in_child)
