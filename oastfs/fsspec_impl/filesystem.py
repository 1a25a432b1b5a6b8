"""``OastFileSystem``: OastFS for everything that speaks fsspec.

Knows fsspec's conventions and translates them to ``oastfs.client``. Nothing of sockets, stores or blocks.
"""

from __future__ import annotations

from glob import has_magic
from typing import Any, NoReturn

from oastfs.core.errors import IsADirectory, NotEmpty, NotFound
from oastfs.core.path import join
from oastfs.fsspec_impl.address import strip
from oastfs.fsspec_impl.base import Path
from oastfs.fsspec_impl.contents import OastContents


class OastFileSystem(OastContents):
    """OastFS by URL, through namenodes or directly on its metadata store.

    Storage options:

    * ``host``, ``port``: namenodes, ``"HOST[:PORT][,HOST[:PORT]...]"``; usually from the URL.
    * ``metadata``: one or several metadata URLs such as ``lmdb:///srv/oast``: direct mode, in this process.
    * Without either, the environment's ``OASTFS_URL`` says which filesystem.
    * ``user``: who asks; the user of this process if None.
    * ``timeout``: seconds that each call may take, retries included.
    * ``replication``, ``block_size`` (in bytes) of files made here; 0 means the filesystem's own.
    * ``auto_mkdir``: make missing directories above what is written (True).
    * ``use_listings_cache``, ``listings_expiry_time`` (seconds), ``max_paths``: remember listings. Off unless
      asked for: everyone sees at once what another process did.

    Errors are Python's own: ``FileNotFoundError``, ``PermissionError``, ``ConnectionError`` and their like.
    """

    # --- directories ------------------------------------------------------------------------------

    def mkdir(self, path: Path, create_parents: bool = True, **kwargs: Any) -> None:
        """Make a directory. Raises FileExistsError."""
        where = strip(path)
        if create_parents:
            self.client.makedirs(where, exist_ok=False)
        else:
            self.client.mkdir(where)
        self.invalidate_cache(where)

    def makedirs(self, path: Path, exist_ok: bool = False) -> None:
        """Make a directory and those above it."""
        where = strip(path)
        self.client.makedirs(where, exist_ok=exist_ok)
        self.invalidate_cache(where)

    def rmdir(self, path: Path) -> None:
        """Remove an empty directory."""
        where = strip(path)
        self.client.rmdir(where)
        self.invalidate_cache(where)

    # --- removing ---------------------------------------------------------------------------------

    def rm_file(self, path: Path) -> None:
        """Remove anything but a directory."""
        where = strip(path)
        self.client.remove(where)
        self.invalidate_cache(where)

    def _rm(self, path: Path) -> None:
        self.rm_file(path)

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Remove files and, with ``recursive``, trees: each in one call, whatever its size."""
        if maxdepth is not None:
            self._remove_to_depth(path, recursive, maxdepth)
            return
        single = not isinstance(path, (list, tuple, set)) and not has_magic(strip(path))
        removed: list[str] = []
        for where in [strip(path)] if single else self.expand_path(path):
            try:
                if recursive:
                    self.client.rmtree(where)
                else:
                    self.client.remove(where)
            except NotFound:
                # A pattern may match what went with a directory before it.
                if not any(where.startswith(above + "/") for above in removed):
                    raise
            removed.append(where)
            self.invalidate_cache(where)

    def _remove_to_depth(self, path: Any, recursive: bool, maxdepth: int) -> None:
        """Files down to a depth, and the directories that are empty then."""
        for where in reversed(self.expand_path(path, recursive=recursive, maxdepth=maxdepth)):
            try:
                self.rm_file(where)
            except IsADirectory:
                try:
                    self.rmdir(where)
                except NotEmpty:
                    pass  # what is below the depth stays, with the way to it

    # --- moving and copying -----------------------------------------------------------------------

    def mv(
        self, path1: Any, path2: Any, recursive: bool = False, maxdepth: int | None = None, **kwargs: Any
    ) -> None:
        """Move: an atomic rename, of a tree as of a file. Into ``path2`` if that is a directory."""
        if isinstance(path1, list) and isinstance(path2, list):
            for source, target in zip(path1, path2, strict=True):
                self._rename(strip(source), strip(target))
            return
        if isinstance(path1, list) or has_magic(strip(path1)):
            for source in self.expand_path(path1):
                self._rename(source, join(strip(path2), source.rpartition("/")[2]))
            return
        source, target = strip(path1), strip(path2)
        if source == target:
            return
        if str(path2).endswith("/") or self.isdir(target):
            target = join(target, source.rpartition("/")[2])
        self._rename(source, target)

    def _rename(self, source: str, target: str) -> None:
        try:
            self.client.rename(source, target)
        except NotFound:
            # Either the source or the directory above the target is missing.
            if not self.auto_mkdir or not self.lexists(source):
                raise
            self._make_parent(target)
            self.client.rename(source, target)
        self.invalidate_cache(source)
        self.invalidate_cache(target)

    def cp_file(self, path1: Path, path2: Path, **kwargs: Any) -> None:
        """Copy one file, with its permission bits; of a directory, make an empty one."""
        source, target = strip(path1), strip(path2)
        if self.isdir(source):
            self.client.makedirs(target)
        else:
            try:
                self.client.copy(source, target)
            except NotFound:
                if not self.auto_mkdir or not self.exists(source):
                    raise
                self._make_parent(target)
                self.client.copy(source, target)
        self.invalidate_cache(target)

    # --- more than fsspec asks for ------------------------------------------------------------------

    def link(self, src: Path, dst: Path) -> None:
        """Make ``dst`` a further hard link to ``src``."""
        self.client.link(strip(src), strip(dst))
        self.invalidate_cache(dst)

    def symlink(self, src: str, dst: Path) -> None:
        """Make ``dst`` a symbolic link to ``src``."""
        self.client.symlink(strip(dst), strip(src) if "://" in src else src)
        self.invalidate_cache(dst)

    def islink(self, path: Path) -> bool:
        """Whether it is a symbolic link."""
        status = self._stat_or_none(path, follow=False)
        return status is not None and status.is_symlink

    def chmod(self, path: Path, mode: int) -> None:
        """Set permission bits."""
        self.client.chmod(strip(path), mode)
        self.invalidate_cache(path)

    def sign(self, path: Path, expiration: int = 100, **kwargs: Any) -> NoReturn:
        """Not possible: OastFS has no URLs that carry a permission of their own."""
        raise NotImplementedError("oastfs has no signed URLs: give readers access to the namenodes instead")
