"""A real tree of ten thousand files and more, in and out by every face, byte for byte, metadata too."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from oastfs.core.types import FileStatus
from tests.harness.cluster import Cluster, run_oastfs

FILES_MIN = 10_000
LARGE_BYTES = 8 << 20
PACKAGE_BYTES_MAX = 150 << 20

Entry = tuple[str, int, int, str]
"""Kind, permission bits, modification time in ns, and what it holds."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Installed packages of the interpreter that runs the tests: small files, and large libraries.

    Whole packages are taken in order of name, without the few huge ones, until there are enough files.
    """
    chosen = tmp_path_factory.mktemp("site")
    count = largest = 0
    for package in sorted(Path(sysconfig.get_paths()["purelib"]).iterdir()):
        files = [one for one in package.rglob("*") if one.is_file()] if package.is_dir() else [package]
        sizes = [one.stat().st_size for one in files]
        if sum(sizes) <= PACKAGE_BYTES_MAX:
            subprocess.run(["cp", "-a", str(package), str(chosen)], check=True)
            count, largest = count + len(files), max(largest, *sizes, 0)
        if count >= FILES_MIN and largest > LARGE_BYTES:
            return chosen
    raise AssertionError(f"{count} files, the largest of {largest} bytes: install the extras dev and compat")


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def snapshot(top: Path) -> dict[str, Entry]:
    """Everything below ``top`` that a copy has to keep. Times of directories need not be kept by all."""
    found: dict[str, Entry] = {}
    for directory, names, files in os.walk(top):
        for name in [*names, *files]:
            path = Path(directory, name)
            status = path.lstat()
            relative = str(path.relative_to(top))
            if stat.S_ISLNK(status.st_mode):
                found[relative] = ("link", 0, 0, os.readlink(path))
            elif stat.S_ISDIR(status.st_mode):
                found[relative] = ("directory", stat.S_IMODE(status.st_mode), 0, "")
            else:
                held = digest(path)
                found[relative] = ("file", stat.S_IMODE(status.st_mode), status.st_mtime_ns, held)
    return found


@pytest.fixture(scope="module")
def expected(source: Path) -> dict[str, Entry]:
    return snapshot(source)


def assert_equal(found: dict[str, Entry], expected: dict[str, Entry]) -> None:
    different = [name for name in expected.keys() | found.keys() if found.get(name) != expected.get(name)]
    shown = [(name, found.get(name), expected.get(name)) for name in different[:5]]
    assert not different, f"{len(different)} of {len(expected)} differ: {shown}"


def contents_by_fsspec(url: str, top: str) -> Iterator[tuple[str, str]]:
    """Relative path and digest of every file, read in batches."""
    filesystem: Any = fsspec.filesystem("oastfs", fo=url) if "://" not in url else fsspec.url_to_fs(url)[0]
    paths = filesystem.find(top)
    for start in range(0, len(paths), 500):
        for path, data in filesystem.cat(paths[start : start + 500]).items():
            relative = os.path.relpath(filesystem._strip_protocol(path), top)
            yield relative, hashlib.blake2b(data).hexdigest()


@pytest.mark.timeout(900)
def test_in_by_cp_out_by_all(
    make_cluster: Callable[..., Cluster], tmp_path: Path, source: Path, expected: dict[str, Entry]
) -> None:
    """cp -a onto the mount; back by the mount, by fsspec and by ``oastfs get``."""
    cluster = make_cluster()
    mount_point = cluster.mount()
    subprocess.run(["cp", "-a", f"{source}/.", str(mount_point / "tree")], check=True, timeout=600)
    assert_equal(snapshot(mount_point / "tree"), expected)
    held = {name: entry[3] for name, entry in expected.items() if entry[0] == "file"}
    by_fsspec = dict(contents_by_fsspec(f"{cluster.url}/tree", "/tree"))
    assert by_fsspec.keys() == held.keys() and by_fsspec == held
    run_oastfs("get", "-p", f"{cluster.url}/tree", tmp_path / "out", timeout=600)
    assert_equal(snapshot(tmp_path / "out"), expected)


@pytest.mark.timeout(900)
def test_in_by_put_out_by_all(
    make_cluster: Callable[..., Cluster], tmp_path: Path, source: Path, expected: dict[str, Entry]
) -> None:
    """``oastfs put``; back by the mount and by the client."""
    cluster = make_cluster()
    run_oastfs("put", "-rp", source, f"{cluster.url}/tree", timeout=600)
    mount_point = cluster.mount()
    assert_equal(snapshot(mount_point / "tree"), expected)
    filesystem = cluster.connect(cluster.metadata_url)
    seen: dict[str, FileStatus] = {}
    for directory, directories, others in filesystem.walk("/tree"):
        for entry in [*directories, *others]:
            seen[os.path.relpath(f"{directory}/{entry.name}", "/tree")] = entry
    assert seen.keys() == expected.keys()
    for name, (kind, mode, mtime_ns, _) in expected.items():
        if kind == "file":
            assert (stat.S_IMODE(seen[name].mode), seen[name].mtime_ns) == (mode, mtime_ns), name
