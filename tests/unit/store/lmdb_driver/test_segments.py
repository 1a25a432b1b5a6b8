"""What is written to the log, and when it is durable."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from oastfs.store.lmdb_driver.records import Position, encode_record
from oastfs.store.lmdb_driver.segments import Segments
from tests.harness.waiting import wait_until


@pytest.fixture
def segments(tmp_path: Path) -> Iterator[Segments]:
    directory = os.open(tmp_path, os.O_RDONLY)
    made = Segments(directory)
    yield made
    made.close()
    made.end()
    os.close(directory)


def write(segments: Segments, position: Position) -> Position:
    """One record; the position behind it."""
    record = encode_record(position, {"table": {b"key": b"value"}})
    placed = segments.place(position, record)
    segments.write(position, placed, record)
    return position.after(*placed, record)


def test_who_waits_for_a_sync_later_asks_for_it_then(segments: Segments) -> None:
    position = write(segments, Position(1, 1, 0, 0, 0))
    assert segments.synced() == 0
    number = segments.begin_sync()
    wait_until(lambda: segments.synced() == number, "the first record to be synced")
    write(segments, position)
    assert segments.begin_sync() > number


def test_who_does_something_else_meanwhile_has_it_begun_at_once(segments: Segments) -> None:
    segments.syncs_meanwhile = True
    position = write(segments, Position(1, 1, 0, 0, 0))
    wait_until(lambda: segments.synced() == 1, "the first record to be synced")
    assert segments.begin_sync() == 0
    write(segments, position)
    wait_until(lambda: segments.synced() == 2, "the second record to be synced")
