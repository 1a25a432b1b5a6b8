"""The mount's logic on a real store in this process, without a kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from oastfs.client.filesystem import Filesystem, connect
from oastfs.core.types import SUPERUSER, Caller
from oastfs.fuse.effects import run
from oastfs.fuse.filesystem import InodeFilesystem
from oastfs.fuse.options import MountConfig
from oastfs.namenode.filesystem import FormatOptions, format_store
from oastfs.namenode.fsck import check
from oastfs.store import open_store

ROOT = SUPERUSER
ALICE = Caller("alice", 1001, (1001, 2000))
ROOT_ID = 1
INLINE_LIMIT = 1024


@pytest.fixture
def metadata_url(tmp_path: Path) -> str:
    """Where there is to be a filesystem."""
    return f"lmdb://{tmp_path}/store"


@pytest.fixture
def filesystem(metadata_url: str) -> Iterator[Filesystem]:
    """Direct mode, as root; checked at the end."""
    store = open_store(metadata_url, create=True)
    format_store(store, FormatOptions(inline_limit=INLINE_LIMIT))
    with connect(metadata_url, caller=ROOT) as filesystem:
        yield filesystem
        check(store).raise_if_problems()
    store.close()


@pytest.fixture
def mounted(filesystem: Filesystem, metadata_url: str, tmp_path: Path) -> InodeFilesystem:
    return InodeFilesystem(filesystem, MountConfig(metadata_url, str(tmp_path / "mnt")))


@pytest.fixture
def do(mounted: InodeFilesystem) -> Callable[[Any], Any]:
    """The result of an operation, or of what was answered at once."""

    def finish(operation: Any) -> Any:
        return run(mounted.metadata, operation) if hasattr(operation, "send") else operation

    return finish
