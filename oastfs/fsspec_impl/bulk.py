"""Copying many files to and from the local disk: small ones in batches, as fsspec lists them.

fsspec's ``put`` and ``get`` work out which file goes where and then copy one by one. Here they are run on a
stand-in for the filesystem that gathers small files, and moves each batch in a few calls.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path as LocalPath
from typing import TYPE_CHECKING, Any

from fsspec import AbstractFileSystem
from fsspec.callbacks import DEFAULT_CALLBACK

from oastfs.core.types import FileStatus
from oastfs.fsspec_impl.address import strip

if TYPE_CHECKING:
    from oastfs.fsspec_impl.contents import OastContents

BATCH_FILES = 1000
BATCH_BYTES = 8 * 1024 * 1024


class _StandIn:
    """Everything but the copying of single files is the filesystem's own."""

    def __init__(self, fs: OastContents) -> None:
        self._fs = fs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fs, name)


class Putting(_StandIn):
    """``put`` of many files."""

    def __init__(self, fs: OastContents) -> None:
        super().__init__(fs)
        self._small: dict[int, list[tuple[str, bytes]]] = {}
        """By permission bits, which a batch has in common."""
        self._files = self._bytes = 0

    def run(self, *arguments: Any, **options: Any) -> None:
        """As ``AbstractFileSystem.put``."""
        AbstractFileSystem.put(self, *arguments, **options)
        self._flush()

    def put_file(self, lpath: Any, rpath: Any, callback: Any = DEFAULT_CALLBACK, **kwargs: Any) -> None:
        details = LocalPath(lpath).stat()
        small = stat.S_ISREG(details.st_mode) and details.st_size <= self._fs.client.info.inline_limit
        if not small or kwargs.get("mode", "overwrite") != "overwrite":
            self._fs.put_file(lpath, rpath, callback=callback, **kwargs)
            return
        data = LocalPath(lpath).read_bytes()
        self._small.setdefault(details.st_mode & 0o777, []).append((strip(rpath), data))
        self._files += 1
        self._bytes += len(data)
        callback.set_size(len(data))
        callback.relative_update(len(data))
        if self._files >= BATCH_FILES or self._bytes >= BATCH_BYTES:
            self._flush()

    def _flush(self) -> None:
        small, self._small = self._small, {}
        self._files = self._bytes = 0
        for mode, items in small.items():
            for outcome in self._fs.client.write_many(items, mode=mode, parents=self._fs.auto_mkdir):
                if isinstance(outcome, OSError):
                    raise outcome
        self._fs.invalidate_cache()


class Getting(_StandIn):
    """``get`` of many files."""

    def __init__(self, fs: OastContents) -> None:
        super().__init__(fs)
        self._waiting: list[tuple[str, LocalPath, Any]] = []

    def run(self, *arguments: Any, **options: Any) -> None:
        """As ``AbstractFileSystem.get``."""
        AbstractFileSystem.get(self, *arguments, **options)
        self._flush()

    def get_file(self, rpath: Any, lpath: Any, callback: Any = DEFAULT_CALLBACK, **kwargs: Any) -> None:
        self._waiting.append((strip(rpath), LocalPath(os.fspath(lpath)), callback))
        if len(self._waiting) >= BATCH_FILES:
            self._flush()

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        client = self._fs.client
        small: list[tuple[FileStatus, str, LocalPath, Any]] = []
        for status, (path, local, callback) in zip(
            client.stat_many([path for path, _, _ in waiting]), waiting, strict=True
        ):
            if isinstance(status, OSError):
                raise status
            if status.is_file and status.is_inline:
                small.append((status, path, local, callback))
            else:
                self._fs.get_file(path, local, callback=callback)
        directories = {local.parent for _, _, local, _ in small}
        for directory in directories:
            directory.mkdir(parents=True, exist_ok=True)
        contents = client.read_many(path for _, path, _, _ in small)
        for content, (status, _, local, callback) in zip(contents, small, strict=True):
            if isinstance(content, OSError):
                raise content
            _write_local(local, content, status.mode & 0o777)
            callback.set_size(len(content))
            callback.relative_update(len(content))


def _write_local(local: LocalPath, content: bytes, mode: int) -> None:
    """Write a local file that is seen complete or not at all."""
    temporary = local.with_name(f".{local.name[:64]}.{os.getpid()}.part")
    try:
        temporary.write_bytes(content)
        temporary.chmod(mode)
        temporary.replace(local)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
