"""Contents of files: opening them, and reading and writing them whole or in ranges, one or many at once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path as LocalPath
from typing import Any

from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.utils import isfilelike

from oastfs.client.stream import FileStream, parse_mode
from oastfs.core.errors import AlreadyExists, IsADirectory, NotFound
from oastfs.fsspec_impl import ranges
from oastfs.fsspec_impl.address import strip
from oastfs.fsspec_impl.base import Path
from oastfs.fsspec_impl.bulk import Getting, Putting
from oastfs.fsspec_impl.files import (
    READ_BUFFER_BYTES,
    WRITE_BUFFER_BYTES,
    Deferred,
    ReadFile,
    UpdateFile,
    WriteFile,
)
from oastfs.fsspec_impl.listing import OastListing
from oastfs.fsspec_impl.ranges import Range

Buffer = bytes | bytearray | memoryview


class OastContents(OastListing):
    """Bytes in and out."""

    # --- opening ----------------------------------------------------------------------------------

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> ReadFile | WriteFile | UpdateFile:
        """``block_size`` is the size of the buffer in bytes. What is to be cached is left to the client."""
        how = parse_mode(mode)
        if not how.write:
            raw = self._stream(path, "rb")
            return ReadFile(self, path, raw, block_size or READ_BUFFER_BYTES)
        deferred = None if autocommit else self._defer(path, how.letter)
        raw = self._stream(deferred.temporary if deferred else path, mode)
        self.invalidate_cache(path)
        kind = UpdateFile if how.read else WriteFile
        file = kind(self, path, raw, block_size or WRITE_BUFFER_BYTES, deferred)
        if deferred and how.letter == "r":
            self.transaction.files.append(file)  # fsspec thinks of the other modes
        return file

    def _stream(self, path: str, mode: str) -> FileStream:
        arguments = {"buffering": 0, "replication": self.replication, "block_size": self.block_size}
        try:
            return self.client.open(path, mode, **arguments)  # type: ignore[arg-type,return-value]
        except NotFound:
            if not self.auto_mkdir or "r" in mode:
                raise
        self._make_parent(path)
        return self.client.open(path, mode, **arguments)  # type: ignore[arg-type,return-value]

    def _defer(self, path: str, letter: str) -> Deferred:
        """Begin a file of the transaction: new, or with the content that there is."""
        deferred = Deferred(self, path, exclusive=letter == "x")
        if letter == "x" and self.exists(path):
            raise AlreadyExists(path=path)
        if letter == "r" or (letter == "a" and self.exists(path)):
            self.client.copy(path, deferred.temporary)
        return deferred

    def touch(self, path: Path, truncate: bool = True, **kwargs: Any) -> None:
        """An empty file; without ``truncate``, what is there stays and only its times change."""
        where = strip(path)
        if self._intrans and truncate:
            super().touch(where, truncate, **kwargs)
            return
        if not truncate:
            try:
                self.client.utime(where)
                return
            except NotFound:
                pass  # made below
        self.client.write_bytes(where, b"", overwrite=truncate, parents=self.auto_mkdir)
        self.invalidate_cache(where)

    # --- reading ----------------------------------------------------------------------------------

    def cat_file(self, path: Path, start: int | None = None, end: int | None = None, **kwargs: Any) -> bytes:
        where = strip(path)
        if start is None and end is None:
            return self.client.read_bytes(where)
        (found,) = self._read([where], [start], [end], 0)
        if isinstance(found, OSError):
            raise found
        return found

    def cat(self, path: Any, recursive: bool = False, on_error: str = "raise", **kwargs: Any) -> Any:
        """Contents of one or many files, small ones in batches: thousands in one trip."""
        start, end = kwargs.pop("start", None), kwargs.pop("end", None)
        paths = self.expand_path(path, recursive=recursive, **kwargs)
        if len(paths) == 1 and not isinstance(path, list) and paths[0] == strip(path):
            return self.cat_file(paths[0], start, end)
        if start is None and end is None:
            contents: Any = self.client.read_many(paths)
        else:
            contents = self._read(paths, [start] * len(paths), [end] * len(paths), 0)
        out: dict[str, Any] = {}
        for where, content in zip(paths, contents, strict=True):
            if not isinstance(content, OSError):
                out[where] = content
            elif recursive and isinstance(content, IsADirectory):
                continue
            elif on_error == "raise":
                raise content
            elif on_error == "return":
                out[where] = content
        return out

    def cat_stream(self, paths: Iterable[Path]) -> Iterator[bytes]:
        """Contents one by one, in order, fetched in batches: for input pipelines over any number of files."""
        for content in self.client.read_many(strip(path) for path in paths):
            if isinstance(content, OSError):
                raise content
            yield content

    def cat_ranges(
        self,
        paths: list[Path],
        starts: int | list[int | None] | None,
        ends: int | list[int | None] | None,
        max_gap: int | None = None,
        on_error: str = "return",
        **kwargs: Any,
    ) -> list[bytes | OSError]:
        """Ranges of many files in few trips; those that are nearer than ``max_gap`` bytes are read as one."""
        if not isinstance(paths, list):
            raise TypeError("paths must be a list")
        first = starts if isinstance(starts, list) else [starts] * len(paths)
        last = ends if isinstance(ends, list) else [ends] * len(paths)
        if not len(first) == len(last) == len(paths):
            raise ValueError("there must be as many starts and ends as paths")
        gap = ranges.MERGE_GAP_BYTES if max_gap is None else max_gap
        found = self._read([strip(path) for path in paths], first, last, gap)
        if on_error == "raise":
            for one in found:
                if isinstance(one, OSError):
                    raise one
        return found

    def _read(
        self,
        paths: list[str],
        starts: Sequence[int | None],
        ends: Sequence[int | None],
        max_gap: int,
    ) -> list[bytes | OSError]:
        sizes = self._sizes_where_needed(paths, starts, ends)
        wanted: list[Range] = [
            ranges.resolved(path, start, end, sizes.get(path))
            for path, start, end in zip(paths, starts, ends, strict=True)
        ]
        merged, pieces = ranges.merge(wanted, max_gap)
        contents = self.client.read_ranges(merged)
        found: list[bytes | OSError] = []
        for number, start, length in pieces:
            content = contents[number]
            if isinstance(content, OSError) or (start == 0 and length >= len(content)):
                found.append(content)
            else:
                found.append(content[start : start + length])
        return found

    def _sizes_where_needed(
        self, paths: list[str], starts: Sequence[int | None], ends: Sequence[int | None]
    ) -> dict[str, int]:
        triples = zip(paths, starts, ends, strict=True)
        counted = list({path for path, start, end in triples if ranges.needs_size(start, end)})
        statuses = self.client.stat_many(counted) if counted else []
        # A path that fails here fails in the read, too, which tells it.
        return {
            path: status.length
            for path, status in zip(counted, statuses, strict=True)
            if not isinstance(status, OSError)
        }

    def head(self, path: Path, size: int = 1024) -> bytes:
        return self.cat_file(path, 0, size)

    def tail(self, path: Path, size: int = 1024) -> bytes:
        return self.cat_file(path, -size, None)

    # --- writing ----------------------------------------------------------------------------------

    def pipe_file(self, path: Path, value: Any, mode: str = "overwrite", **kwargs: Any) -> None:
        """Write a whole file; a small one in one trip, seen complete or not at all."""
        where = strip(path)
        if self._intrans:
            with self.open(where, "xb" if mode == "create" else "wb", **kwargs) as file:
                file.write(value)
            return
        overwrite = mode != "create"
        self.client.write_bytes(where, _bytes_of(value), overwrite=overwrite, parents=self.auto_mkdir)
        self.invalidate_cache(where)

    def pipe(self, path: Any, value: Any = None, **kwargs: Any) -> None:
        """Write one file, or those of a dict from path to content, small ones in batches."""
        if not isinstance(path, dict) or self._intrans or kwargs:
            super().pipe(path, value, **kwargs)
            return
        items = ((strip(where), _bytes_of(content)) for where, content in path.items())
        for outcome in self.client.write_many(items, parents=self.auto_mkdir):
            if isinstance(outcome, OSError):
                raise outcome
        self.invalidate_cache()

    def write_bytes(self, path: Path, value: Any, **kwargs: Any) -> None:
        """As ``pipe_file``."""
        self.pipe_file(path, value, **kwargs)

    # --- to and from the local disk -----------------------------------------------------------------

    def put(self, *arguments: Any, **options: Any) -> None:
        """Copy files and trees from the local disk, as fsspec's ``put``; small files in batches."""
        if self._intrans:
            super().put(*arguments, **options)
        else:
            Putting(self).run(*arguments, **options)

    def get(self, *arguments: Any, **options: Any) -> None:
        """Copy files and trees to the local disk, as fsspec's ``get``; small files in batches."""
        Getting(self).run(*arguments, **options)

    def get_file(
        self,
        rpath: Path,
        lpath: Any = None,
        callback: Any = DEFAULT_CALLBACK,
        outfile: Any = None,
        **kwargs: Any,
    ) -> None:
        """Copy a file to the local disk, where it is seen complete or not at all; or to a file object."""
        where = strip(rpath)
        target = outfile if outfile is not None or not isfilelike(lpath) else lpath
        if target is not None:
            with self.open(where, "rb") as source:
                callback.set_size(source.size)
                shutil.copyfileobj(source, _Counted(target, callback), READ_BUFFER_BYTES)
            return
        local = LocalPath(os.fspath(lpath))
        status = self.client.stat(where)
        if status.is_directory:
            local.mkdir(parents=True, exist_ok=True)
            return
        local.parent.mkdir(parents=True, exist_ok=True)
        callback.set_size(status.length)
        self.client.get(where, local, progress=callback.relative_update)

    def put_file(
        self,
        lpath: Path,
        rpath: Path,
        callback: Any = DEFAULT_CALLBACK,
        mode: str = "overwrite",
        **kwargs: Any,
    ) -> None:
        """Copy a file from the local disk, with its permission bits."""
        where, local = strip(rpath), LocalPath(os.fspath(lpath))
        if local.is_dir():
            self.client.makedirs(where)
            self.invalidate_cache(where)
            return
        callback.set_size(local.stat().st_size)
        if mode == "create" or self._intrans:
            with local.open("rb") as source, self.open(where, "xb" if mode == "create" else "wb") as target:
                shutil.copyfileobj(source, _Counted(target, callback), WRITE_BUFFER_BYTES)
            return
        try:
            self.client.put(local, where, progress=callback.relative_update)
        except NotFound:
            if not self.auto_mkdir:
                raise
            self._make_parent(where)
            self.client.put(local, where, progress=callback.relative_update)
        self.invalidate_cache(where)


class _Counted:
    """A file object that tells a callback of what is written to it."""

    def __init__(self, file: Any, callback: Any) -> None:
        self._file = file
        self._callback = callback

    def write(self, data: bytes) -> int:
        self._file.write(data)
        self._callback.relative_update(len(data))
        return len(data)


def _bytes_of(value: Any) -> Buffer:
    """A buffer whose length is in bytes. Raises TypeError for what is none (text, for example)."""
    if isinstance(value, (bytes, bytearray)):
        return value
    view = memoryview(value)
    return view if view.itemsize == 1 and view.ndim == 1 else view.cast("B")
