"""Fixtures of the benchmarks: a namespace on a real LMDB store in a temporary directory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from oastfs.namenode.filesystem import format_store
from oastfs.namenode.namespace import Namespace
from oastfs.store import open_store


@pytest.fixture
def namespace(tmp_path: Path) -> Iterator[Namespace]:
    store = open_store(f"lmdb://{tmp_path}/store", create=True)
    format_store(store)
    namespace = Namespace(store, owns_store=True)
    yield namespace
    namespace.close()
