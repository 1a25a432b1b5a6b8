"""Looking at the tree: info, ls, walk, find, glob and what follows from them.

Nothing is cached unless ``use_listings_cache`` asks for it. A directory costs one listing, many paths one
batch. A symbolic link is described as what it leads to, and is never descended into.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from glob import has_magic
from typing import Any

from fsspec.utils import glob_translate

from oastfs.core.errors import (
    InvalidPath,
    NameTooLong,
    NotADirectory,
    NotFound,
    NotUtf8,
    PermissionDenied,
    SymlinkLoop,
)
from oastfs.core.path import join
from oastfs.core.types import FileStatus
from oastfs.fsspec_impl.address import strip
from oastfs.fsspec_impl.base import OastBase, Path
from oastfs.fsspec_impl.entries import Info, datetime_of, through_link

NOT_THERE = (NotFound, NotADirectory, PermissionDenied, SymlinkLoop, NameTooLong, NotUtf8, InvalidPath)
"""What means that the caller sees nothing at a path. A filesystem out of reach is something else."""

Walked = tuple[str, Any, Any]


class OastListing(OastBase):
    """The reading half of the tree."""

    # --- one path, many paths -------------------------------------------------------------------

    def info(self, path: Path, **kwargs: Any) -> Info:
        where = strip(path)
        status = self.client.stat(where, follow=False)
        return self._through_link(where, status) if status.is_symlink else self.describe(where, status)

    def info_many(self, paths: Sequence[Path], on_error: str = "raise") -> dict[str, Info | OSError]:
        """``info`` of many paths in few trips. ``on_error``: raise, omit, or return errors as values."""
        wheres = [strip(path) for path in paths]
        found: dict[str, Info | OSError] = {}
        links: list[tuple[str, FileStatus]] = []
        for where, status in zip(wheres, self.client.stat_many(wheres, follow=False), strict=True):
            if not isinstance(status, OSError):
                found[where] = self.describe(where, status)
                if status.is_symlink:
                    links.append((where, status))
            elif on_error == "raise":
                raise status
            elif on_error == "return":
                found[where] = status
        found.update(self._links(links))
        return found

    def _through_link(self, path: str, link: FileStatus) -> Info:
        return self._links([(path, link)])[path]

    def _links(self, links: list[tuple[str, FileStatus]]) -> dict[str, Info]:
        if not links:
            return {}
        targets = self.client.stat_many([path for path, _ in links])
        return {
            path: through_link(path, target, link)
            for (path, link), target in zip(links, targets, strict=True)
        }

    def exists(self, path: Path, **kwargs: Any) -> bool:
        return self._stat_or_none(path) is not None

    def lexists(self, path: Path, **kwargs: Any) -> bool:
        return self._stat_or_none(path, follow=False) is not None

    def isfile(self, path: Path) -> bool:
        status = self._stat_or_none(path)
        return status is not None and status.is_file

    def isdir(self, path: Path) -> bool:
        status = self._stat_or_none(path)
        return status is not None and status.is_directory

    def _stat_or_none(self, path: Path, follow: bool = True) -> FileStatus | None:
        try:
            return self.client.stat(strip(path), follow)
        except NOT_THERE:
            return None

    def size(self, path: Path) -> int:
        return self.client.stat(strip(path)).length

    def sizes(self, paths: Sequence[Path]) -> list[int]:
        """Size of each path, in few trips."""
        sizes = []
        for status in self.client.stat_many([strip(path) for path in paths]):
            if isinstance(status, OSError):
                raise status
            sizes.append(status.length)
        return sizes

    def created(self, path: Path) -> datetime:
        """Time of the last change of the inode (``st_ctime``), in UTC: births are not recorded."""
        return datetime_of(self.client.stat(strip(path)).ctime_ns)

    def modified(self, path: Path) -> datetime:
        """Time of the last change of the content, in UTC."""
        return datetime_of(self.client.stat(strip(path)).mtime_ns)

    def checksum(self, path: Path) -> int:
        """Equal numbers mean equal content: of the inode, its length and its times of change."""
        return int(self.ukey(path), 16)

    def ukey(self, path: Path) -> str:
        status = self.client.stat(strip(path))
        version = (self.fsid, status.inode_id, status.length, status.mtime_ns, status.ctime_ns)
        return hashlib.sha256(repr(version).encode()).hexdigest()

    # --- directories ------------------------------------------------------------------------------

    def ls(self, path: Path, detail: bool = True, refresh: bool = False, **kwargs: Any) -> list[Any]:
        """Entries of a directory in name order, or of a file itself. ``refresh`` passes the cache by."""
        where = strip(path)
        try:
            infos = self._list(where, refresh)
        except NotADirectory:
            infos = [self.info(where)]
        return infos if detail else [info["name"] for info in infos]

    def _list(self, path: str, refresh: bool = False) -> list[Info]:
        """One listing. Raises NotFound, NotADirectory, PermissionDenied."""
        if self.dircache.use_listings_cache and not refresh and path in self.dircache:
            return list(self.dircache[path])
        prefix = path if path == "/" else path + "/"
        describe = self.describe
        infos: list[Info] = []
        links: list[tuple[str, FileStatus]] = []
        for status in self.client.listdir(path):
            name = prefix + status.name
            infos.append(describe(name, status))
            if status.is_symlink:
                links.append((name, status))
        if links:
            resolved = self._links(links)
            infos = [resolved.get(info["name"], info) for info in infos]
        self.dircache[path] = infos
        return list(infos) if self.dircache.use_listings_cache else infos

    def walk(
        self,
        path: Path,
        maxdepth: int | None = None,
        topdown: bool = True,
        on_error: str | Callable[[OSError], object] = "omit",
        **kwargs: Any,
    ) -> Iterator[Walked]:
        if maxdepth is not None and maxdepth < 1:
            raise ValueError("maxdepth must be at least 1")
        detail = bool(kwargs.pop("detail", False))
        yield from self._walk(strip(path), maxdepth, topdown, on_error, detail, kwargs.get("refresh", False))

    def _walk(
        self,
        top: str,
        maxdepth: int | None,
        topdown: bool,
        on_error: str | Callable[[OSError], object],
        detail: bool,
        refresh: bool,
    ) -> Iterator[Walked]:
        """Without recursion, for trees may be deep. What waits is a directory to list, or one to give."""
        pending: list[tuple[str, int, Walked | None]] = [(top, 1, None)]
        while pending:
            where, depth, finished = pending.pop()
            if finished is not None:
                yield finished
                continue
            try:
                infos = self.ls(where, refresh=refresh) if depth == 1 else self._list(where, refresh)
            except OSError as error:
                if on_error == "raise":
                    raise
                if callable(on_error):
                    on_error(error)
                continue
            directories, files = _sorted_out(where, infos)
            links = {name for name, info in directories.items() if info["islink"]}
            given: Walked = (where, directories, files)
            if not detail:
                given = (where, list(directories), list(files))
            if topdown:
                yield given
            else:
                pending.append((where, depth, given))
            if maxdepth is not None and depth >= maxdepth:
                continue
            # The caller may have taken names out, or put others in.
            names = given[1] if topdown else directories
            pending.extend(
                (join(where, name), depth + 1, None) for name in reversed(list(names)) if name not in links
            )

    def find(
        self,
        path: Path,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        **kwargs: Any,
    ) -> Any:
        """All files below a path, and itself if it is one. One listing for each directory."""
        if maxdepth is not None and maxdepth < 1:
            raise ValueError("maxdepth must be at least 1")
        top = strip(path)
        found: dict[str, Info] = {}
        status = self._stat_or_none(top)
        if status is None:
            return {} if detail else []
        if not status.is_directory or withdirs:
            found[top] = self.describe(top, status)
        pending = [(top, 1)] if status.is_directory else []
        while pending:
            where, depth = pending.pop()
            try:
                infos = self._list(where, kwargs.get("refresh", False))
            except NOT_THERE:
                continue  # gone meanwhile, or not for this user: as find(1) goes on
            for info in infos:
                if info["type"] != "directory":
                    found[info["name"]] = info
                    continue
                if withdirs:
                    found[info["name"]] = info
                if not info["islink"] and (maxdepth is None or depth < maxdepth):
                    pending.append((info["name"], depth + 1))
        names = sorted(found)
        return {name: found[name] for name in names} if detail else names

    def du(
        self,
        path: Path,
        total: bool = True,
        maxdepth: int | None = None,
        withdirs: bool = False,
        **kwargs: Any,
    ) -> Any:
        found = self.find(path, maxdepth=maxdepth, withdirs=withdirs, detail=True, **kwargs)
        sizes = {name: info["size"] for name, info in found.items()}
        return sum(sizes.values()) if total else sizes

    # --- patterns -----------------------------------------------------------------------------------

    def glob(self, path: Path, maxdepth: int | None = None, **kwargs: Any) -> Any:
        """As fsspec's, but only directories that the pattern leads through are listed."""
        text = str(path)
        where = strip(text)
        if maxdepth is not None or not has_magic(where):
            return super().glob(text, maxdepth=maxdepth, **kwargs)
        only_directories = text.endswith("/")
        matches = re.compile(glob_translate(where + "/" if only_directories else where)).match
        slashed = only_directories or where.endswith("/**")
        with_directories = kwargs.get("withdirs", True)
        found = {
            name: info
            for name, info in sorted(self._candidates(where).items())
            if matches(name + "/" if slashed and info["type"] == "directory" else name)
            and (with_directories or info["type"] != "directory")
        }
        return found if kwargs.get("detail", False) else list(found)

    def _candidates(self, pattern: str) -> dict[str, Info]:
        """What may match: level by level, the first ``**`` taking in everything below."""
        parts = pattern[1:].split("/")
        first = next(number for number, part in enumerate(parts) if has_magic(part))
        directories = ["/" + "/".join(parts[:first])]
        found: dict[str, Info] = {}
        for number, part in enumerate(parts[first:], first):
            found = {}
            if part == "**":
                for directory in directories:
                    found.update(self.find(directory, withdirs=True, detail=True))
                return found
            if has_magic(part):
                matches = re.compile(glob_translate(part)).match
                for directory in directories:
                    found.update(self._matching(directory, matches))
            else:
                named = [join(directory, part) for directory in directories]
                found = self.info_many(named, on_error="omit")  # type: ignore[assignment]
            if number < len(parts) - 1:
                directories = [name for name, info in found.items() if info["type"] == "directory"]
        return found

    def _matching(self, directory: str, matches: Callable[[str], object]) -> dict[str, Info]:
        try:
            infos = self._list(directory)
        except NOT_THERE:
            return {}
        return {info["name"]: info for info in infos if matches(info["name"].rpartition("/")[2])}


def _sorted_out(where: str, infos: list[Info]) -> tuple[dict[str, Info], dict[str, Info]]:
    """Directories and others by name; a file that was asked for itself has the empty name."""
    directories: dict[str, Info] = {}
    others: dict[str, Info] = {}
    for info in infos:
        if info["name"] == where:
            others[""] = info
            continue
        kind = directories if info["type"] == "directory" else others
        kind[info["name"].rpartition("/")[2]] = info
    return directories, others
