"""Random changes of a few files by random faces, compared with what the files should hold after each."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oastfs.client import Filesystem
from tests.compat.hdfs.conftest import Faces, HdfsPlace
from tests.compat.hdfs.faces import BLOCK_BYTES, Face, GoHdfs, Mounted
from tests.harness.cluster import Cluster

pytestmark = [pytest.mark.system, pytest.mark.timeout(3600)]

FACES = ["hdfs-native", "hdfs-fsspec", "pyarrow", "mount", "oastfs-fsspec"]
LENGTHS = [0, 1, 511, 512, 5_000, 64 << 10, (64 << 10) + 1, 300_000, BLOCK_BYTES, BLOCK_BYTES + 1, 2_500_000]
FILES = 4
LENGTH_MAX = 6 * BLOCK_BYTES


class Walk:
    """The files, and what they should hold."""

    def __init__(
        self, seed: int, faces: Callable[[str], Face], mounted: Mounted, place: HdfsPlace, fs: Filesystem
    ) -> None:
        self.fs = fs
        self.chance = random.Random(seed)
        self.faces = [faces(name) for name in FACES]
        self.go: Any = faces("gohdfs")
        self.mounted = mounted
        self.place = place
        self.contents: dict[str, bytes] = {}
        self.told: list[str] = []

    def step(self) -> None:
        """One change by one face, then a look by another."""
        kinds = [self.write, self.append, self.append, self.overwrite, self.truncate, self.cut, self.rename]
        path = self.place / str(self.chance.randrange(FILES))
        face = self.chance.choice(self.faces)
        if path not in self.contents:
            self.write(path, face)
        else:
            self.chance.choice(kinds)(path, face)
        self.check(self.chance.choice(list(self.contents)), self.chance.choice(self.faces))

    def tell(self, what: str, path: str, face: Face | None, more: object = "") -> None:
        name = "" if face is None else face.name
        self.told.append(f"{what} {path} {name} {more}")

    def data(self) -> bytes:
        return self.chance.randbytes(self.chance.choice(LENGTHS))

    def write(self, path: str, face: Face) -> None:
        data = self.data()
        self.tell("write", path, face, len(data))
        face.write(path, data)
        self.contents[path] = data

    def append(self, path: str, face: Face) -> None:
        data = self.data()
        before = self.contents[path]
        if len(before) + len(data) > LENGTH_MAX:
            return
        self.tell("append", path, face, len(data))
        face.append(path, data)
        self.contents[path] = before + data

    def overwrite(self, path: str, face: Face) -> None:
        content = bytearray(self.contents[path])
        offset = self.chance.randrange(len(content) + 1)
        data = self.chance.randbytes(self.chance.choice([1, 100, 5_000, 100_000]))
        self.tell("overwrite", path, self.mounted, (offset, len(data)))
        with self.mounted.at(path).open("r+b") as file:
            file.seek(offset)
            file.write(data)
        content[offset : offset + len(data)] = data
        self.contents[path] = bytes(content)

    def truncate(self, path: str, face: Face) -> None:
        """To any length, by the mount."""
        length = self.chance.choice([self.chance.randrange(LENGTH_MAX), *LENGTHS])
        self.tell("truncate", path, self.mounted, length)
        os.truncate(self.mounted.at(path), length)
        self.contents[path] = self.contents[path][:length].ljust(length, b"\0")

    def cut(self, path: str, face: Face) -> None:
        """To a smaller length, by HDFS's call."""
        length = self.chance.randrange(len(self.contents[path]) + 1)
        self.tell("cut", path, self.go, length)
        go: GoHdfs = self.go
        go.run("truncate", str(length), path)
        self.contents[path] = self.contents[path][:length]

    def rename(self, path: str, face: Face) -> None:
        new_path = f"{path}-{len(self.told)}"
        self.tell("rename there and back", path, face)
        face.rename(path, new_path)
        self.check_content(new_path, self.contents[path], self.chance.choice(self.faces))
        self.chance.choice(self.faces).rename(new_path, path)

    def check(self, path: str, face: Face) -> None:
        self.check_content(path, self.contents[path], face)
        expected = self.contents[path]
        offset = self.chance.randrange(len(expected) + 1)
        if offset < len(expected):
            length = self.chance.choice([1, 600, 70_000])
            found = face.read_range(path, offset, length)
            assert found == expected[offset : offset + length], (
                f"{face.name} reads {offset}+{length} otherwise"
            )
        if self.chance.random() < 0.2:
            sizes = {name.rpartition("/")[2]: len(data) for name, data in self.contents.items()}
            assert face.sizes(self.place.path) == sizes, f"{face.name} lists otherwise"

    def check_content(self, path: str, expected: bytes, face: Face) -> None:
        found = face.read(path)
        if found != expected:
            first = next(
                (at for at, (left, right) in enumerate(zip(found, expected, strict=False)) if left != right),
                min(len(found), len(expected)),
            )
            lengths = f"{len(found)} bytes for {len(expected)}"
            raise AssertionError(f"{face.name} reads {path} otherwise: {lengths}, from {first} on")


@pytest.fixture
def walk(
    faces: Faces, hdfs_mount: Path, place: HdfsPlace, hdfs_cluster: Cluster
) -> Callable[[int, int], None]:
    """Walks from a seed for some steps."""

    def run(seed: int, steps: int) -> None:
        one = Walk(seed, faces, Mounted(hdfs_mount), place, hdfs_cluster.connect())
        try:
            for _ in range(steps):
                one.step()
        except BaseException:
            print(f"seed {seed}", *one.told[-60:], sep="\n")
            raise

    return run


def test_short_walk(walk: Callable[[int, int], None]) -> None:
    walk(random.SystemRandom().randrange(1 << 32), 120)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(6))
def test_long_walk(seed: int, walk: Callable[[int, int], None]) -> None:
    walk(seed, 1500)
