"""HDFS's answers, encoded (C; ``status.py``, ``pages.py`` and ``small_files.py`` have the same in Python)."""

from collections.abc import Callable

def encode_page(
    rows: list[tuple[bytes, bytes]],
    name_at: int,
    unusual: int,
    tail: bytes,
    owner: Callable[[int, int, int], bytes],
    layout: Callable[[int, int], bytes],
    directory_mtime: Callable[[int], int | None],
    other: Callable[[bytes, bytes], bytes],
    /,
) -> bytes:
    """``partialListing`` of a DirectoryListingProto: an entry for each row.

    Keys have the entries' names from byte ``name_at`` on. What has a flag of ``unusual``, is neither a
    regular file nor a directory, or does not look like a row, is encoded by ``other(key, value)``. For the
    rest ``owner(permission, uid, gid)`` and ``layout(replication, block_size)``, of -1 for a directory, give
    fields of the status, and ``tail`` is its end. ``directory_mtime(id)`` is None where the row's own is to
    be shown.
    """

def encode_status(
    kind: int,
    name: bytes,
    length: int,
    owner: bytes,
    mtime_ns: int,
    atime_ns: int,
    link: bytes,
    layout: bytes,
    inode_id: int,
    tail: bytes,
    /,
) -> bytes:
    """A HdfsFileStatusProto; ``owner``, ``link``, ``layout`` and ``tail`` are fields, encoded already.

    Times before 1970 are shown as 0.
    """

def encode_small_file(length: int, block_id: int, before: bytes, between: bytes, rest: bytes, /) -> bytes:
    """A GetBlockLocationsResponseProto of a closed file with one block.

    ``before``, ``between`` and ``rest`` are what goes around the block's id and the length in a
    LocatedBlockProto, encoded already: the pool's name, the stamp, and what follows the block's name.
    """
