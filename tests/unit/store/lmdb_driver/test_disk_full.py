"""A full disk: writes fail with StoreFull, nothing is lost, reads go on, and writes work again with room."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from oastfs.core.errors import StoreFull
from oastfs.store import open_store
from oastfs.store.schema import CONTENT, COUNTER, Content
from oastfs.store.transaction import Store
from tests.contract.rows import increment

DISK_BYTES = 4 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small filesystem of its own."""
    mounted = tmp_path / "disk"
    mounted.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "oastfs-test", str(mounted)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.fail(
            f"this test mounts a small tmpfs: run it as root, or in `unshare -rm` ({done.stderr.strip()})"
        )
    yield mounted
    # Lazily: a test that failed has its store open, and nothing of it may stay mounted.
    subprocess.run(["umount", "--lazy", str(mounted)], check=True)


def put(store: Store, number: int, size_bytes: int) -> None:
    store.write(lambda tx: tx.put(CONTENT, (number,), Content(bytes([number % 256]) * size_bytes)))


def fill(store: Store, size_bytes: int) -> int:
    """Put rows until the disk is full; how many went in."""
    for number in range(100_000):
        try:
            put(store, number, size_bytes)
        except StoreFull as error:
            assert "full" in str(error)
            return number
    raise AssertionError("the disk never filled up")


@pytest.mark.parametrize("size_bytes", [100, 5_000, 65_536])
def test_a_full_disk_loses_nothing_and_heals(disk: Path, size_bytes: int) -> None:
    store = open_store(f"lmdb://{disk}/store", create=True)
    ballast = disk / "ballast"
    ballast.write_bytes(b"x" * (2 << 20))
    count = fill(store, size_bytes)
    assert count > 0

    def contents() -> list[tuple[int, int]]:
        return store.read(lambda tx: [(int(key[0]), len(row.data)) for key, row in tx.scan(CONTENT)])

    assert contents() == [(number, size_bytes) for number in range(count)]
    for _ in range(5):
        with pytest.raises(StoreFull):
            put(store, count, 1 << 20)
        assert contents() == [(number, size_bytes) for number in range(count)]
    assert store.usage()[1] < 1 << 20

    ballast.unlink()
    put(store, count, size_bytes)
    assert contents() == [(number, size_bytes) for number in range(count + 1)]
    store.close()

    store = open_store(f"lmdb://{disk}/store")
    assert store.count(CONTENT) == count + 1
    store.close()


def test_a_full_disk_answers_each_of_a_group(disk: Path) -> None:
    """Operations that need little go through beside one that needs too much."""
    store = open_store(f"lmdb://{disk}/store", create=True)
    for _ in range(20):
        store.write(increment)
    answers: list[tuple[object, BaseException | None]] = []

    def done(result: object, error: BaseException | None) -> None:
        answers.append((result, error))

    for number in range(20):
        if number == 10:
            store.submit(lambda tx: tx.put(CONTENT, (1,), Content(b"x" * DISK_BYTES)), done)
        store.submit(increment, done)
    store.close()
    assert [isinstance(error, StoreFull) for _, error in answers] == [number == 10 for number in range(21)]
    store = open_store(f"lmdb://{disk}/store")
    row = store.read(lambda tx: tx.get(COUNTER, ("n",)))
    assert row is not None and row.value == 40
    store.close()


def test_no_room_for_a_new_store(disk: Path) -> None:
    with pytest.raises(OSError):
        (disk / "ballast").write_bytes(b"x" * DISK_BYTES * 2)
    with pytest.raises(StoreFull):
        open_store(f"lmdb://{disk}/store", create=True)
    (disk / "ballast").unlink()
    open_store(f"lmdb://{disk}/store", create=True).close()
