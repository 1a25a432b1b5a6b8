"""What runs in PyArrow's own process: libhdfs starts a JVM there, once, with what the environment says."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

_filesystems: list[Any] = []
_open_files: list[Any] = []


def start(environment: Mapping[str, str], host: str, port: int) -> None:
    """Make the filesystem. The first thing to be run in the process."""
    os.environ.update(environment)
    from pyarrow.fs import HadoopFileSystem

    _filesystems.append(HadoopFileSystem(host, port))


def filesystem() -> Any:
    """The HadoopFileSystem."""
    return _filesystems[0]


def write(path: str, data: bytes) -> None:
    with filesystem().open_output_stream(path) as file:
        file.write(data)


def append(path: str, data: bytes) -> None:
    with filesystem().open_append_stream(path) as file:
        file.write(data)


def read(path: str) -> bytes:
    with filesystem().open_input_stream(path) as file:
        return bytes(file.read())


def read_range(path: str, offset: int, length: int) -> bytes:
    with filesystem().open_input_file(path) as file:
        file.seek(offset)
        return bytes(file.read(length))


def mkdir(path: str) -> None:
    filesystem().create_dir(path, recursive=True)


def rename(path: str, new_path: str) -> None:
    filesystem().move(path, new_path)


def remove(path: str) -> None:
    filesystem().delete_file(path)


def remove_tree(path: str) -> None:
    filesystem().delete_dir(path)


def sizes(path: str) -> dict[str, int]:
    from pyarrow.fs import FileSelector, FileType

    found = filesystem().get_file_info(FileSelector(path))
    return {one.base_name: -1 if one.type == FileType.Directory else one.size for one in found}


def modified_ns(path: str) -> int:
    return int(filesystem().get_file_info(path).mtime_ns)


def open_to_read(paths: list[str]) -> None:
    """Open files, for ``read_open``."""
    _open_files.extend(filesystem().open_input_file(path) for path in paths)


def read_open() -> list[bytes]:
    """What is in the files that were opened."""
    contents = [bytes(file.read()) for file in _open_files]
    for file in _open_files:
        file.close()
    _open_files.clear()
    return contents
