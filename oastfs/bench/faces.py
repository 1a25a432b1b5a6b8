"""The clients that ``failover`` calls through, each as a target over several namenodes."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from oastfs.bench.servers import HOST, Mount, Namenodes
from oastfs.bench.targets import Target
from oastfs.bench.targets.directory import DirectoryTarget
from oastfs.bench.targets.filesystem import FilesystemTarget
from oastfs.core.errors import Unsupported

SERVICE = "oast"
"""The logical name of all namenodes in Hadoop's settings."""


class FsspecTarget(FilesystemTarget):
    """The same calls through fsspec's filesystem, which every caller of a process shares."""

    def __init__(self, url: str, base: str) -> None:
        import fsspec

        super().__init__(url, base)
        self._fsspec: Any = fsspec.url_to_fs(url + "/")[0]

    def mkdir(self, path: str) -> None:
        self._fsspec.mkdir(self._path(path), create_parents=False)

    def write(self, path: str, data: bytes) -> None:
        self._fsspec.pipe_file(self._path(path), data)

    def read(self, path: str) -> bytes:
        return bytes(self._fsspec.cat_file(self._path(path)))

    def stat(self, path: str) -> None:
        self._fsspec.info(self._path(path))

    def rename(self, source: str, target: str) -> None:
        self._fsspec.mv(self._path(source), self._path(target))

    def remove(self, path: str) -> None:
        self._fsspec.rm_file(self._path(path))


class JavaTarget(FilesystemTarget):
    """Hadoop's Java client, by PyArrow and libhdfs; CLASSPATH has to name Hadoop's client jars.

    Its changes are of directories, for which no datanode is needed.
    """

    def __init__(self, url: str, base: str) -> None:
        try:
            from pyarrow.fs import HadoopFileSystem
        except ImportError:
            raise Unsupported("java needs `pip install pyarrow`") from None
        super().__init__(url, base)
        try:
            self._java: Any = HadoopFileSystem("default", 0)
        except OSError as error:
            raise Unsupported(f"java needs libhdfs (ARROW_LIBHDFS_DIR) and CLASSPATH: {error}") from None

    def mkdir(self, path: str) -> None:
        self._java.create_dir(self._path(path), recursive=False)

    def write(self, path: str, data: bytes) -> None:
        self.mkdir(path)

    def read(self, path: str) -> bytes:
        with self._java.open_input_file(self._path(path)) as file:
            return bytes(file.read())

    def stat(self, path: str) -> None:
        self._java.get_file_info(self._path(path))

    def rename(self, source: str, target: str) -> None:
        self._java.move(self._path(source), self._path(target))

    def remove(self, path: str) -> None:
        self._java.delete_dir(self._path(path))


class NativeHdfsTarget(FilesystemTarget):
    """hdfs-native with Hadoop's settings for several namenodes. Its changes are of directories, too."""

    def __init__(self, url: str, base: str, settings: dict[str, str]) -> None:
        try:
            import hdfs_native
        except ImportError:
            raise Unsupported("hdfs-native needs `pip install hdfs-native`") from None
        super().__init__(url, base)
        self._client: Any = hdfs_native.Client(f"hdfs://{SERVICE}", settings)

    def mkdir(self, path: str) -> None:
        self._client.mkdirs(self._path(path), 0o755, False)

    def write(self, path: str, data: bytes) -> None:
        self.mkdir(path)

    def read(self, path: str) -> bytes:
        with self._client.read(self._path(path)) as file:
            return bytes(file.read())

    def stat(self, path: str) -> None:
        self._client.get_file_info(self._path(path))

    def rename(self, source: str, target: str) -> None:
        self._client.rename(self._path(source), self._path(target), False)

    def remove(self, path: str) -> None:
        self._client.delete(self._path(path), False)


def hadoop_settings(namenodes: Namenodes) -> dict[str, str]:
    """What tells a Hadoop client of several namenodes."""
    names = [f"nn{number}" for number in range(1, len(namenodes.all) + 1)]
    provider = "org.apache.hadoop.hdfs.server.namenode.ha.ConfiguredFailoverProxyProvider"
    return {
        "fs.defaultFS": f"hdfs://{SERVICE}",
        "dfs.nameservices": SERVICE,
        f"dfs.ha.namenodes.{SERVICE}": ",".join(names),
        f"dfs.client.failover.proxy.provider.{SERVICE}": provider,
        **{
            f"dfs.namenode.rpc-address.{SERVICE}.{name}": f"{HOST}:{namenode.port}"
            for name, namenode in zip(names, namenodes.all, strict=True)
        },
    }


def _write_core_site(settings: dict[str, str], directory: Path) -> None:
    properties = "".join(
        f"<property><name>{escape(name)}</name><value>{escape(value)}</value></property>\n"
        for name, value in settings.items()
    )
    text = f'<?xml version="1.0"?>\n<configuration>\n{properties}</configuration>\n'
    (directory / "core-site.xml").write_text(text)


Face = Callable[[Namenodes, Path, ExitStack], Callable[[str], Target]]
"""Prepares what all callers share in a directory, undone with the stack; the target of a base directory."""


def _oastfs(namenodes: Namenodes, directory: Path, stack: ExitStack) -> Callable[[str], Target]:
    return lambda base: FilesystemTarget(namenodes.url, base)


def _fsspec(namenodes: Namenodes, directory: Path, stack: ExitStack) -> Callable[[str], Target]:
    return lambda base: FsspecTarget(namenodes.url, base)


def _mount(namenodes: Namenodes, directory: Path, stack: ExitStack) -> Callable[[str], Target]:
    mount = Mount(namenodes.url, directory)
    stack.callback(mount.stop)
    mount.start()
    mount.wait_ready()
    return lambda base: DirectoryTarget(str(mount.path), base)


def _hdfs_native(namenodes: Namenodes, directory: Path, stack: ExitStack) -> Callable[[str], Target]:
    settings = hadoop_settings(namenodes)
    return lambda base: NativeHdfsTarget(namenodes.url, base, settings)


def _java(namenodes: Namenodes, directory: Path, stack: ExitStack) -> Callable[[str], Target]:
    _write_core_site(hadoop_settings(namenodes), directory)
    # The JVM is begun once in a process and reads its class path then.
    os.environ["CLASSPATH"] = f"{directory}:{os.environ.get('CLASSPATH', '')}"
    return lambda base: JavaTarget(namenodes.url, base)


FACES: dict[str, Face] = {
    "oastfs": _oastfs,
    "fsspec": _fsspec,
    "mount": _mount,
    "hdfs-native": _hdfs_native,
    "java": _java,
}
