"""The programs under test behind one small interface: what they all can do, by paths of the filesystem."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from tests.compat.hdfs import arrow_process
from tests.harness.process import OASTFS

BLOCK_BYTES = 1 << 20
"""Blocks of the filesystem under test: files of several blocks are not large then."""


class Face:
    """One way to the filesystem."""

    name: str
    appends = True

    def write(self, path: str, data: bytes) -> None:
        """Make a file, or replace it."""
        raise NotImplementedError

    def append(self, path: str, data: bytes) -> None:
        """Add to a file."""
        raise NotImplementedError

    def read(self, path: str) -> bytes:
        """A whole file."""
        raise NotImplementedError

    def read_all(self, paths: list[str]) -> bytes:
        """Several whole files, one behind the other."""
        return b"".join(self.read(path) for path in paths)

    def read_range(self, path: str, offset: int, length: int) -> bytes:
        """Part of a file."""
        raise NotImplementedError

    def mkdir(self, path: str) -> None:
        """A directory, and those above it."""
        raise NotImplementedError

    def rename(self, path: str, new_path: str) -> None:
        """Move to a name that is free."""
        raise NotImplementedError

    def remove(self, path: str) -> None:
        """Delete a file."""
        raise NotImplementedError

    def remove_tree(self, path: str) -> None:
        """Delete a directory with all that is in it."""
        raise NotImplementedError

    def sizes(self, path: str) -> dict[str, int]:
        """Names in a directory and their lengths; -1 for directories."""
        raise NotImplementedError


class Native(Face):
    """hdfs-native's client."""

    name = "hdfs-native"

    def __init__(self, address: str) -> None:
        from hdfs_native import Client, WriteOptions

        self.client = Client(f"hdfs://{address}")
        self._replace = WriteOptions(overwrite=True)

    def write(self, path: str, data: bytes) -> None:
        with self.client.create(path, self._replace) as file:
            file.write(data)

    def append(self, path: str, data: bytes) -> None:
        with self.client.append(path) as file:
            file.write(data)

    def read(self, path: str) -> bytes:
        with self.client.read(path) as file:
            return bytes(file.read())

    def read_range(self, path: str, offset: int, length: int) -> bytes:
        with self.client.read(path) as file:
            file.seek(offset)
            return bytes(file.read(length))

    def mkdir(self, path: str) -> None:
        self.client.mkdirs(path, create_parent=True)

    def rename(self, path: str, new_path: str) -> None:
        self.client.rename(path, new_path)

    def remove(self, path: str) -> None:
        assert self.client.delete(path)

    def remove_tree(self, path: str) -> None:
        assert self.client.delete(path, recursive=True)

    def sizes(self, path: str) -> dict[str, int]:
        found = self.client.list_status(path)
        return {one.path.rpartition("/")[2]: -1 if one.isdir else one.length for one in found}


class Fsspec(Face):
    """An fsspec filesystem: hdfs-native's for hdfs://, OastFS's own for oastfs://."""

    def __init__(self, name: str, fs: Any) -> None:
        self.name = name
        self.fs = fs

    def write(self, path: str, data: bytes) -> None:
        with self.fs.open(path, "wb") as file:
            file.write(data)

    def append(self, path: str, data: bytes) -> None:
        with self.fs.open(path, "ab") as file:
            file.write(data)

    def read(self, path: str) -> bytes:
        return bytes(self.fs.cat_file(path))

    def read_range(self, path: str, offset: int, length: int) -> bytes:
        return bytes(self.fs.cat_file(path, start=offset, end=offset + length))

    def mkdir(self, path: str) -> None:
        self.fs.makedirs(path, exist_ok=True)

    def rename(self, path: str, new_path: str) -> None:
        self.fs.mv(path, new_path)

    def remove(self, path: str) -> None:
        self.fs.rm_file(path)

    def remove_tree(self, path: str) -> None:
        self.fs.rm(path, recursive=True)

    def sizes(self, path: str) -> dict[str, int]:
        self.fs.invalidate_cache()
        return {
            one["name"].rstrip("/").rpartition("/")[2]: -1 if one["type"] == "directory" else one["size"]
            for one in self.fs.ls(path, detail=True)
        }


class Arrow(Face):
    """PyArrow's HadoopFileSystem, which is libhdfs and Java, in a process of its own."""

    name = "pyarrow"

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def run(self, function: Any, *arguments: Any) -> Any:
        """Call a function of ``arrow_process`` there."""
        return self._executor.submit(function, *arguments).result(120)

    def write(self, path: str, data: bytes) -> None:
        self.run(arrow_process.write, path, data)

    def append(self, path: str, data: bytes) -> None:
        self.run(arrow_process.append, path, data)

    def read(self, path: str) -> bytes:
        return bytes(self.run(arrow_process.read, path))

    def read_range(self, path: str, offset: int, length: int) -> bytes:
        return bytes(self.run(arrow_process.read_range, path, offset, length))

    def mkdir(self, path: str) -> None:
        self.run(arrow_process.mkdir, path)

    def rename(self, path: str, new_path: str) -> None:
        self.run(arrow_process.rename, path, new_path)

    def remove(self, path: str) -> None:
        self.run(arrow_process.remove, path)

    def remove_tree(self, path: str) -> None:
        self.run(arrow_process.remove_tree, path)

    def sizes(self, path: str) -> dict[str, int]:
        return dict(self.run(arrow_process.sizes, path))


class CommandFace(Face):
    """A command with its address in the environment."""

    program: str

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = {**os.environ, **environment}

    def run(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """Run it to its end, which must be success; its output."""
        done = subprocess.run(
            [self.program, *arguments],
            input=stdin,
            capture_output=True,
            env=self.environment,
            timeout=120,
            check=False,
        )
        said = done.stderr.decode(errors="replace")
        assert done.returncode == 0, f"{self.program} {arguments}: {done.returncode} {said}"
        return done.stdout


class GoHdfs(CommandFace):
    """Debian's hdfs-cli, an independent client in Go."""

    name = "gohdfs"
    appends = False
    program = "hdfs"

    def __init__(self, address: str) -> None:
        super().__init__({"HADOOP_NAMENODE": address, "HADOOP_CONF_DIR": "", "HADOOP_HOME": ""})

    def write(self, path: str, data: bytes) -> None:
        # It refuses to replace.
        self.run("rm", "-f", path)
        self.run("put", "-", path, stdin=data)

    def read(self, path: str) -> bytes:
        return self.run("cat", path)

    def read_all(self, paths: list[str]) -> bytes:
        return self.run("cat", *paths)

    def read_range(self, path: str, offset: int, length: int) -> bytes:
        size = int(self.run("du", path).split()[0])
        return self.run("tail", "-c", str(size - offset), path)[:length]

    def mkdir(self, path: str) -> None:
        self.run("mkdir", "-p", path)

    def rename(self, path: str, new_path: str) -> None:
        self.run("mv", "-nT", path, new_path)

    def remove(self, path: str) -> None:
        self.run("rm", path)

    def remove_tree(self, path: str) -> None:
        self.run("rm", "-r", path)

    def sizes(self, path: str) -> dict[str, int]:
        found = {}
        for line in self.run("ls", "-la", path).decode().splitlines():
            mode, _, _, size, _, _, _, name = line.split(maxsplit=7)
            if name not in (".", ".."):
                found[name] = -1 if mode.startswith("d") else int(size)
        return found


class Rclone(CommandFace):
    """Debian's rclone with its hdfs backend."""

    name = "rclone"
    appends = False
    program = "rclone"

    def __init__(self, address: str, user: str) -> None:
        super().__init__({"RCLONE_HDFS_NAMENODE": address, "RCLONE_HDFS_USERNAME": user, "RCLONE_CONFIG": ""})

    def write(self, path: str, data: bytes) -> None:
        self.run("rcat", f":hdfs:{path}", stdin=data)

    def read(self, path: str) -> bytes:
        return self.run("cat", f":hdfs:{path}")

    def read_range(self, path: str, offset: int, length: int) -> bytes:
        return self.run("cat", "--offset", str(offset), "--count", str(length), f":hdfs:{path}")

    def mkdir(self, path: str) -> None:
        self.run("mkdir", f":hdfs:{path}")

    def rename(self, path: str, new_path: str) -> None:
        self.run("moveto", f":hdfs:{path}", f":hdfs:{new_path}")

    def remove(self, path: str) -> None:
        self.run("deletefile", f":hdfs:{path}")

    def remove_tree(self, path: str) -> None:
        self.run("purge", f":hdfs:{path}")

    def sizes(self, path: str) -> dict[str, int]:
        found = json.loads(self.run("lsjson", f":hdfs:{path}"))
        return {one["Name"]: -1 if one["IsDir"] else one["Size"] for one in found}


class Command(CommandFace):
    """The `oastfs` command."""

    name = "oastfs"
    appends = False
    program = OASTFS

    def __init__(self, url: str) -> None:
        super().__init__({"OASTFS_URL": url})

    def write(self, path: str, data: bytes) -> None:
        self.run("put", "-q", "-", path, stdin=data)

    def read(self, path: str) -> bytes:
        return self.run("cat", path)

    def read_all(self, paths: list[str]) -> bytes:
        return self.run("cat", *paths)

    def read_range(self, path: str, offset: int, length: int) -> bytes:
        return self.read(path)[offset : offset + length]

    def mkdir(self, path: str) -> None:
        self.run("mkdir", "-p", path)

    def rename(self, path: str, new_path: str) -> None:
        self.run("mv", path, new_path)

    def remove(self, path: str) -> None:
        self.run("rm", path)

    def remove_tree(self, path: str) -> None:
        self.run("rm", "-r", path)

    def sizes(self, path: str) -> dict[str, int]:
        found = json.loads(self.run("ls", "-l", "--json", path))
        return {one["name"]: -1 if one["type"] == "directory" else one["size"] for one in found}


class Mounted(Face):
    """The mount, by paths of the operating system."""

    name = "mount"

    def __init__(self, root: Path) -> None:
        self.root = root

    def at(self, path: str) -> Path:
        """The path in the mount."""
        return self.root / path.lstrip("/")

    def write(self, path: str, data: bytes) -> None:
        self.at(path).write_bytes(data)

    def append(self, path: str, data: bytes) -> None:
        with self.at(path).open("ab") as file:
            file.write(data)

    def read(self, path: str) -> bytes:
        return self.at(path).read_bytes()

    def read_range(self, path: str, offset: int, length: int) -> bytes:
        with self.at(path).open("rb") as file:
            file.seek(offset)
            return file.read(length)

    def mkdir(self, path: str) -> None:
        self.at(path).mkdir(parents=True, exist_ok=True)

    def rename(self, path: str, new_path: str) -> None:
        self.at(path).rename(self.at(new_path))

    def remove(self, path: str) -> None:
        self.at(path).unlink()

    def remove_tree(self, path: str) -> None:
        shutil.rmtree(self.at(path))

    def sizes(self, path: str) -> dict[str, int]:
        return {
            entry.name: -1 if entry.is_dir() else entry.stat().st_size for entry in os.scandir(self.at(path))
        }
