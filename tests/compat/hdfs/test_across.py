"""What one face writes every other reads at once, byte for byte."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.compat.hdfs.conftest import CLIENTS, OWN, Faces, HdfsPlace
from tests.compat.hdfs.faces import BLOCK_BYTES, CommandFace, Face, Mounted
from tests.compat.hdfs.test_files import content
from tests.harness.cluster import Cluster

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

LENGTHS = [0, 700, 64 << 10, 200_000, 2 * BLOCK_BYTES + 333]


@pytest.fixture
def mounted(hdfs_mount: Path) -> Mounted:
    return Mounted(hdfs_mount)


@pytest.fixture
def readers(faces: Faces) -> list[Face]:
    """One of each kind: OastFS's client, the mount, and HDFS clients in Rust, Go and Java."""
    return [faces(name) for name in ("oastfs-fsspec", "mount", "hdfs-native", "gohdfs", "pyarrow")]


def check(readers: list[Face], path: str, expected: bytes) -> None:
    """Every face reads these bytes, whole and in part, and knows the length."""
    directory, _, name = path.rpartition("/")
    middle = len(expected) // 2
    for face in readers:
        assert face.read(path) == expected, f"{face.name} reads {path} otherwise"
        assert face.sizes(directory)[name] == len(expected), f"{face.name} lists {path} otherwise"
        if expected and not isinstance(face, CommandFace):
            part = face.read_range(path, middle, 100)
            assert part[: len(expected) - middle] == expected[middle : middle + 100], face.name


@pytest.fixture(scope="module")
def written(faces: Faces, hdfs_cluster: Cluster) -> dict[str, bytes]:
    """Files of several lengths from each face, in one directory."""
    hdfs_cluster.connect().makedirs("/written-by-all")
    files = {}
    for number, name in enumerate(CLIENTS + OWN):
        for length in LENGTHS:
            path = f"/written-by-all/{name}-{length}"
            files[path] = content(length, number)
            faces(name).write(path, files[path])
    return files


@pytest.mark.parametrize("reader", CLIENTS + OWN)
def test_written_there_read_here(reader: str, faces: Faces, written: dict[str, bytes]) -> None:
    face: Face = faces(reader)
    sizes = {path.rpartition("/")[2]: len(data) for path, data in written.items()}
    assert face.sizes("/written-by-all") == sizes
    assert face.read_all(list(written)) == b"".join(written.values())


@pytest.mark.parametrize("writer", ["hdfs-native", "pyarrow", "mount", "oastfs-fsspec"])
def test_appended_by_all_in_turn(writer: str, faces: Faces, readers: list[Face], place: HdfsPlace) -> None:
    """A file that ``writer`` began, and each face that can append goes on with."""
    expected = content(1000)
    faces(writer).write(place / "file", expected)
    for turn, face in enumerate(face for face in readers if face.appends):
        added = content(100_000 + turn)
        face.append(place / "file", added)
        expected += added
        assert all(reader.read(place / "file") == expected for reader in readers), face.name


def overwrite(mounted: Mounted, path: str, data: bytes, seed: int, changes: int = 30) -> bytes:
    """Change a file at random places through the mount; what it holds then."""
    chance, expected = random.Random(seed), bytearray(data)
    with mounted.at(path).open("r+b") as file:
        for _ in range(changes):
            offset = chance.randrange(len(data))
            piece = chance.randbytes(chance.randrange(1, 5000))
            file.seek(offset)
            file.write(piece)
            expected[offset : offset + len(piece)] = piece
    return bytes(expected)


@pytest.mark.parametrize("writer", ["hdfs-native", "gohdfs", "pyarrow", "mount"])
@pytest.mark.parametrize("length", [20_000, 3 * BLOCK_BYTES])
def test_overwritten_through_the_mount(
    writer: str, length: int, faces: Faces, readers: list[Face], mounted: Mounted, place: HdfsPlace
) -> None:
    data = content(length)
    faces(writer).write(place / "file", data)
    for seed in range(2):
        data = overwrite(mounted, place / "file", data, seed)
        check(readers, place / "file", data)


def test_changed_through_the_mount_right_after_it_was_replaced(
    hdfs_native: Face, mounted: Mounted, place: HdfsPlace
) -> None:
    """The kernel still knows the file that was there before, by the name: it must not be changed instead."""
    path, data = place / "file", content(2 * BLOCK_BYTES)
    for _ in range(10):
        hdfs_native.write(path, data)
        mounted.at(path).stat()
        hdfs_native.write(path, data[:10])
        with mounted.at(path).open("r+b") as file:
            file.write(data[:100_000])
        assert hdfs_native.read(path) == data[:100_000]
        hdfs_native.write(path, data)
        os.truncate(mounted.at(path), 5)
        assert hdfs_native.read(path) == data[:5]


def test_truncated_and_extended_through_the_mount(
    readers: list[Face], mounted: Mounted, hdfs_native: Face, place: HdfsPlace
) -> None:
    data = content(2 * BLOCK_BYTES)
    hdfs_native.write(place / "file", data)
    os.truncate(mounted.at(place / "file"), BLOCK_BYTES + 1000)
    check(readers, place / "file", data[: BLOCK_BYTES + 1000])
    os.truncate(mounted.at(place / "file"), 2 * BLOCK_BYTES + 77)
    check(readers, place / "file", data[: BLOCK_BYTES + 1000] + bytes(BLOCK_BYTES - 1000 + 77))


@pytest.mark.parametrize("sizes", [(1000, 100_000, 50_000), (100_000, 1000, 2_000), (60_000, 60_000, 10)])
def test_small_and_large_files_are_joined(
    readers: list[Face],
    mounted: Mounted,
    hdfs_native: Face,
    place: HdfsPlace,
    hdfs_cluster: Cluster,
    sizes: tuple[int, ...],
) -> None:
    """What was inline is read before a datanode has been told to fetch it, and is written to afterwards."""
    pieces = [content(size + number)[:size] for number, size in enumerate(sizes)]
    paths = [place / str(number) for number in range(len(pieces))]
    for path, piece in zip(paths, pieces, strict=True):
        hdfs_native.write(path, piece)
    with hdfs_cluster.connect(keep=False) as fs:
        fs.metadata.concat(fs.caller, paths[0], paths[1:])
    joined = b"".join(pieces)
    check(readers, paths[0], joined)
    hdfs_native.append(paths[0], b" and more")
    with mounted.at(paths[0]).open("r+b") as file:
        file.seek(500)
        file.write(b"changed")
    check(readers, paths[0], joined[:500] + b"changed" + joined[507:] + b" and more")


def test_a_small_file_that_was_extended_far_is_appended_to(
    readers: list[Face], mounted: Mounted, hdfs_native: Face, place: HdfsPlace, hdfs_cluster: Cluster
) -> None:
    hdfs_native.write(place / "file", b"small")
    os.truncate(mounted.at(place / "file"), BLOCK_BYTES + 1000)
    hdfs_native.append(place / "file", b"appended")
    expected = b"small" + bytes(BLOCK_BYTES + 995) + b"appended"
    check(readers, place / "file", expected)
    # Blocks that follow begin where it ends, not at multiples of their size.
    more = content(3 * BLOCK_BYTES)
    with hdfs_cluster.connect(keep=False) as fs, fs.open(place / "file", "ab") as file:
        file.write(more)
    check(readers, place / "file", expected + more)


def test_sparse_files(readers: list[Face], mounted: Mounted, place: HdfsPlace) -> None:
    """Holes at the beginning, in the middle and at the end, over blocks and within them."""
    length, pieces = 6 * BLOCK_BYTES + 5, {BLOCK_BYTES + 17: b"first", 4 * BLOCK_BYTES - 3: b"across blocks"}
    expected = bytearray(length)
    with mounted.at(place / "sparse").open("wb") as file:
        for offset, piece in pieces.items():
            file.seek(offset)
            file.write(piece)
            expected[offset : offset + len(piece)] = piece
        file.truncate(length)
    check(readers, place / "sparse", bytes(expected))
    mounted.write(place / "hole", b"")
    os.truncate(mounted.at(place / "hole"), 3 * BLOCK_BYTES)
    check(readers, place / "hole", bytes(3 * BLOCK_BYTES))


@pytest.mark.parametrize("start", [0, BLOCK_BYTES - 10])
@pytest.mark.parametrize("hole", [10, BLOCK_BYTES + 100_000])
def test_append_after_a_hole(
    start: int,
    hole: int,
    readers: list[Face],
    mounted: Mounted,
    hdfs_native: Face,
    faces: Faces,
    place: HdfsPlace,
) -> None:
    """HDFS clients append to files that only the mount can make."""
    expected = content(start) + bytes(hole)
    mounted.write(place / "file", content(start))
    os.truncate(mounted.at(place / "file"), len(expected))
    for face in (hdfs_native, faces("pyarrow")):
        face.append(place / "file", b"end of " + face.name.encode())
        expected += b"end of " + face.name.encode()
        check(readers, place / "file", expected)


def test_append_right_after_the_mount(hdfs_native: Face, mounted: Mounted, place: HdfsPlace) -> None:
    """The kernel tells the mount of the last close a moment after it. An open file of blocks is refused."""
    for turn in range(30):
        mounted.write(place / f"{turn}", b"x" * 1000)
        hdfs_native.append(place / f"{turn}", b"y")
        assert mounted.read(place / f"{turn}") == b"x" * 1000 + b"y"
    with mounted.at(place / "open").open("wb") as file:
        file.write(content(200_000))
        file.flush()
        with pytest.raises(FileExistsError):
            hdfs_native.append(place / "open", b"y")
    hdfs_native.append(place / "open", b"y")
    assert mounted.read(place / "open") == content(200_000) + b"y"


def test_hard_links(readers: list[Face], mounted: Mounted, hdfs_native: Face, place: HdfsPlace) -> None:
    for length in (500, BLOCK_BYTES + 500):
        data = content(length)
        hdfs_native.write(place / f"one-{length}", data)
        os.link(mounted.at(place / f"one-{length}"), mounted.at(place / f"two-{length}"))
        check(readers, place / f"two-{length}", data)
        hdfs_native.append(place / f"two-{length}", b"more")
        check(readers, place / f"one-{length}", data + b"more")
        hdfs_native.remove(place / f"one-{length}")
        check(readers, place / f"two-{length}", data + b"more")


def test_symbolic_links(readers: list[Face], mounted: Mounted, hdfs_native: Face, place: HdfsPlace) -> None:
    """Namenodes follow them; in listings a link to a file is that file."""
    hdfs_native.mkdir(place / "tree/below")
    os.symlink("below", mounted.at(place / "tree/to-directory"))
    os.symlink("/nowhere", mounted.at(place / "tree/to-nothing"))
    for length in (500, 2 * BLOCK_BYTES):
        data = content(length)
        hdfs_native.write(place / f"tree/below/{length}", data)
        os.symlink(f"below/{length}", mounted.at(place / f"tree/to-{length}"))
        for face in readers:
            assert face.read(place / f"tree/to-{length}") == data, face.name
            assert face.read(place / f"tree/to-directory/{length}") == data, face.name
            assert face.sizes(place / "tree/to-directory")[f"{length}"] == length, face.name
        assert hdfs_native.sizes(place / "tree")[f"to-{length}"] == length
        hdfs_native.append(place / f"tree/to-{length}", b"more")
        check(readers, place / f"tree/below/{length}", data + b"more")
    # Deleting takes the links, and leaves what they lead to.
    hdfs_native.remove(place / "tree/to-500")
    hdfs_native.rename(place / "tree/below", place / "kept")
    hdfs_native.remove_tree(place / "tree")
    assert sorted(hdfs_native.sizes(place / "kept")) == sorted(["500", str(2 * BLOCK_BYTES)])


def test_changes_are_seen_by_readers_that_looked_before(
    readers: list[Face], faces: Faces, place: HdfsPlace
) -> None:
    """No face keeps what another has replaced, renamed or deleted."""
    writer = faces("hdfs-native")
    for turn in range(3):
        writer.write(place / "file", content(1000 * (turn + 1)))
        check(readers, place / "file", content(1000 * (turn + 1)))
    writer.rename(place / "file", place / "moved")
    for face in readers:
        assert sorted(face.sizes(place.path)) == ["moved"], face.name
    mover = faces("mount")
    mover.rename(place / "moved", place / "back")
    for face in readers:
        assert sorted(face.sizes(place.path)) == ["back"], face.name
    faces("gohdfs").remove(place / "back")
    for face in readers:
        assert face.sizes(place.path) == {}, face.name
