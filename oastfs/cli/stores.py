"""Metadata stores by their URLs: making filesystems on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from oastfs.core.errors import AlreadyExists
from oastfs.core.limits import BLOCK_SIZE_BYTES_DEFAULT, INLINE_LIMIT_BYTES_DEFAULT

if TYPE_CHECKING:
    from oastfs.core.types import FilesystemInfo
    from oastfs.namenode.filesystem import FormatOptions
    from oastfs.store.transaction import Store


@dataclass(frozen=True)
class FormatRequest:
    """What a new filesystem is to be like; None for the default. Sizes in bytes."""

    replication: int
    inline_limit: int | None
    block_size: int | None

    def options(self) -> FormatOptions:
        """In the form that the namenode's library takes."""
        from oastfs.namenode.filesystem import FormatOptions

        limit, block = self.inline_limit, self.block_size
        return FormatOptions(
            block_size=BLOCK_SIZE_BYTES_DEFAULT if block is None else block,
            replication=self.replication,
            inline_limit=INLINE_LIMIT_BYTES_DEFAULT if limit is None else limit,
        )


@contextmanager
def opened(urls: Sequence[str], create: bool = False) -> Iterator[Store]:
    """The store of these URLs, closed at the end. Raises InvalidArgument, WrongStore."""
    from oastfs.store import open_store

    with closing(open_store(list(urls), create=create)) as store:
        yield store


def format_new(urls: Sequence[str], request: FormatRequest) -> FilesystemInfo:
    """Make a filesystem. Raises AlreadyExists, InvalidArgument, WrongStore."""
    from oastfs.namenode.filesystem import format_store

    options = request.options()
    options.check()
    with opened(urls, create=True) as store:
        return format_store(store, options)


def ensure_formatted(urls: Sequence[str], request: FormatRequest) -> tuple[FilesystemInfo, bool]:
    """The filesystem of a store, and whether it was made just now."""
    from oastfs.namenode.filesystem import load_info

    try:
        return format_new(urls, request), True
    except AlreadyExists:
        with opened(urls) as store:
            return load_info(store), False
