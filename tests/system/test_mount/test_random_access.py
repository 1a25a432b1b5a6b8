"""Random reads, writes, truncations and mappings of one file, against a plain byte string (after fsx)."""

from __future__ import annotations

import mmap
import os
import random
from pathlib import Path

import pytest

INLINE_LIMIT = 64 * 1024


class Exerciser:
    """One file, and what its content must be. Every choice comes from the seed."""

    def __init__(self, path: Path, seed: int, size_max: int) -> None:
        self.path = path
        self.random = random.Random(seed)
        self.size_max = size_max
        self.model = bytearray()
        self.history: list[str] = []
        path.write_bytes(b"")
        self.descriptor = os.open(path, os.O_RDWR)

    def close(self) -> None:
        os.close(self.descriptor)

    def step(self) -> None:
        choices = [self.write, self.write, self.append, self.read, self.read, self.truncate]
        choices += [self.map_write, self.map_read, self.reopen, self.sync, self.size]
        self.random.choice(choices)()

    def run(self, steps: int) -> None:
        try:
            for _ in range(steps):
                self.step()
            self.whole()
        except AssertionError as error:
            raise AssertionError("\n".join([str(error)[:300], *self.history[-30:]])) from None

    def note(self, text: str) -> None:
        self.history.append(f"{len(self.history)}: {text}")

    def data(self, size: int) -> bytes:
        return self.random.randbytes(size)

    def range(self) -> tuple[int, int]:
        offset = self.random.randrange(self.size_max)
        return offset, min(self.random.choice([1, 100, 5_000, 70_000]), self.size_max - offset)

    def expect(self, found: bytes, offset: int, size: int) -> None:
        expected = bytes(self.model[offset : offset + size])
        if found != expected:
            at = next((i for i, (a, b) in enumerate(zip(found, expected, strict=False)) if a != b), -1)
            raise AssertionError(
                f"at {offset}+{at}: {len(found)} bytes for {len(expected)}; "
                f"found {found[at : at + 8].hex()}, expected {expected[at : at + 8].hex()}"
            )

    def write(self) -> None:
        offset, size = self.range()
        self.note(f"write {offset}+{size}")
        data = self.data(size)
        assert os.pwrite(self.descriptor, data, offset) == size
        self.model.extend(bytes(max(0, offset - len(self.model))))
        self.model[offset : offset + size] = data

    def append(self) -> None:
        size = min(self.random.choice([1, 4096, 10_000]), self.size_max - len(self.model))
        self.note(f"append {size} at {len(self.model)}")
        data = self.data(size)
        os.pwrite(self.descriptor, data, len(self.model))
        self.model += data

    def read(self) -> None:
        offset, size = self.range()
        self.note(f"read {offset}+{size}")
        self.expect(os.pread(self.descriptor, size, offset), offset, size)

    def truncate(self) -> None:
        length = self.random.choice([0, len(self.model) // 2, self.random.randrange(self.size_max)])
        if self.random.random() < 0.5:
            self.note(f"ftruncate {length} from {len(self.model)}")
            os.ftruncate(self.descriptor, length)
        else:
            self.note(f"truncate {length} from {len(self.model)}")
            os.truncate(self.path, length)
        self.model.extend(bytes(max(0, length - len(self.model))))
        del self.model[length:]

    def map_write(self) -> None:
        if not self.model:
            return
        offset, size = self.range()
        offset %= len(self.model)
        size = min(size, len(self.model) - offset)
        self.note(f"mapped write {offset}+{size}")
        data = self.data(size)
        with mmap.mmap(self.descriptor, len(self.model)) as mapping:
            mapping[offset : offset + size] = data
            if self.random.random() < 0.5:
                mapping.flush()
        self.model[offset : offset + size] = data

    def map_read(self) -> None:
        if not self.model:
            return
        self.note("mapped read")
        with mmap.mmap(self.descriptor, len(self.model), access=mmap.ACCESS_READ) as mapping:
            self.expect(mapping[:], 0, len(self.model))

    def reopen(self) -> None:
        self.note("reopen")
        os.close(self.descriptor)
        self.descriptor = os.open(self.path, os.O_RDWR)

    def sync(self) -> None:
        self.note("fsync")
        os.fsync(self.descriptor)

    def size(self) -> None:
        self.note("size")
        found, expected = os.fstat(self.descriptor).st_size, len(self.model)
        assert found == expected, f"size {found} for {expected}"

    def whole(self) -> None:
        self.expect(self.path.read_bytes(), 0, len(self.model) + 1)


@pytest.mark.parametrize("size_max", [INLINE_LIMIT - 1, 3 * INLINE_LIMIT, 4_000_000])
@pytest.mark.parametrize("seed", [1, 2])
def test_random_operations(directory: Path, size_max: int, seed: int) -> None:
    exerciser = Exerciser(directory / "file", seed, size_max)
    try:
        exerciser.run(150)
    finally:
        exerciser.close()


@pytest.mark.long
@pytest.mark.parametrize("size_max", [INLINE_LIMIT - 1, INLINE_LIMIT + 5_000, 4_000_000])
def test_many_random_operations(directory: Path, size_max: int) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    exerciser = Exerciser(directory / "file", seed, size_max)
    try:
        exerciser.run(5_000)
    finally:
        exerciser.close()
