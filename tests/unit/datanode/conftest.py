"""Fixtures of the datanode's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from oastfs.datanode.config import DatanodeConfig
from oastfs.datanode.http import WebPart
from tests.harness.waiting import wait_until
from tests.unit.datanode.home import Home
from tests.unit.datanode.namenode import RecordingNamenode
from tests.unit.datanode.running import Running


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    yield home
    home.store.close()


@pytest.fixture
def namenode() -> Iterator[RecordingNamenode]:
    namenode = RecordingNamenode()
    namenode.start()
    yield namenode
    namenode.stop()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    with ExitStack() as stack:

        def start(
            *namenodes: RecordingNamenode,
            name: str = "dn",
            volumes: int = 1,
            part: WebPart | None = None,
            **options: Any,
        ) -> Running:
            running = Running(
                DatanodeConfig(
                    volumes=tuple(tmp_path / name / str(number) for number in range(volumes)),
                    namenodes=tuple(one.address for one in namenodes),
                    reserved_bytes=0,
                    stop_grace_seconds=0.2,
                    **options,
                ),
                part,
            )
            stack.callback(running.datanode.stop)
            return running

        yield start


@pytest.fixture
def start(
    request: pytest.FixtureRequest, namenode: RecordingNamenode, run: Callable[..., Running]
) -> Callable[..., Running]:
    """Datanodes that are registered with a namenode that keeps files of up to the module's LIMIT bytes."""
    namenode.inline_limit = request.module.LIMIT

    def started(**options: Any) -> Running:
        running = run(namenode, **options)
        wait_until(lambda: running.datanode.small_blocks.may_be_inline(1), "the registration")
        return running

    return started
