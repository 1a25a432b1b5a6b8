"""The tables that queries see: each column with its type, what it means, and the SQL that makes it.

The SQL speaks of aliases: ``e`` is the source of the table (``sources.py``), others are joined if a column
that is needed speaks of them. So the names in the expressions also say which of a source's columns have to be
loaded, and what a query does not ask for costs nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

_ALIASED: Final = re.compile(r"\b([a-z])\.([a-z_]+)")

TEXT, NUMBER, FLAG, TIME, REAL, BYTES = "VARCHAR", "BIGINT", "BOOLEAN", "TIMESTAMP", "DOUBLE", "BLOB"


class Column(NamedTuple):
    """One column of a table. ``expression`` makes it of the aliases."""

    name: str
    type: str
    expression: str
    meaning: str


@dataclass(frozen=True)
class View:
    """One table. ``source`` is what ``e`` stands for; ``where`` picks its rows."""

    name: str
    source: str
    columns: tuple[Column, ...]
    where: str = ""

    def aliased(self, wanted: set[str]) -> set[tuple[str, str]]:
        """What these columns, and the choice of rows, take of which alias."""
        texts = [column.expression for column in self.columns if column.name in wanted]
        return {(alias, name) for text in [*texts, self.where] for alias, name in _ALIASED.findall(text)}


_KINDS: Final = (
    "CASE e.mode & 61440 WHEN 32768 THEN 'file' WHEN 16384 THEN 'directory' WHEN 40960 THEN 'symlink' "
    "WHEN 4096 THEN 'fifo' WHEN 49152 THEN 'socket' WHEN 8192 THEN 'character device' "
    "WHEN 24576 THEN 'block device' END"
)
SPACE: Final = "CASE WHEN e.flags & 1 = 1 THEN e.length * e.replication ELSE e.length END"
"""As quotas count it: length times replication for content in blocks, length for what is inline."""


def _time(column: str) -> str:
    return f"make_timestamp(e.{column} // 1000)"


_NAMED: Final = (
    Column("path", TEXT, "CASE WHEN e.parent_id = 0 THEN '/' ELSE p.path || '/' || e.name END", "whole path"),
    Column("name", TEXT, "e.name", "last component of the path"),
    Column("parent", TEXT, "CASE WHEN p.path = '' THEN '/' ELSE p.path END", "path of its directory"),
    Column("depth", NUMBER, "p.depth + 1", "how many directories it is below the root"),
)
_ATTRIBUTES: Final = (
    Column("owner", TEXT, "u.name", "name of the owner, digits if there is none"),
    Column("group_name", TEXT, "g.name", "name of the owning group"),
    Column("uid", NUMBER, "e.uid", "number of the owner"),
    Column("gid", NUMBER, "e.gid", "number of the group"),
    Column("mode", TEXT, "lpad(to_base(e.mode & 4095, 8), 4, '0')", "permissions, such as 0644"),
    Column("mtime", TIME, _time("mtime_ns"), "last change of the content, UTC"),
    Column("ctime", TIME, _time("ctime_ns"), "last change of the attributes, UTC"),
    Column("atime", TIME, _time("atime_ns"), "last access, as far as it is kept, UTC"),
    Column("age_days", REAL, "($now - e.mtime_ns // 1000) / 86400e6", "days since mtime"),
    Column("acl", FLAG, "e.flags & 8 = 8", "whether it has an ACL beyond the mode"),
    Column("xattrs", FLAG, "e.flags & 4 = 4", "whether it has extended attributes"),
    Column("inode_id", NUMBER, "e.id", "its number"),
    Column("parent_id", NUMBER, "e.parent_id", "its directory's number"),
)
_ENTRY: Final = (
    *_NAMED,
    Column(
        "extension",
        TEXT,
        r"lower(NULLIF(regexp_extract(e.name, '.\.([^.]+)$', 1), ''))",
        "what follows the last dot of the name, in small letters",
    ),
    Column("kind", TEXT, _KINDS, "file, directory, symlink, fifo, socket, block device, character device"),
    Column("size", NUMBER, "e.length", "bytes"),
    Column("space", NUMBER, SPACE, "bytes with replicas, as quotas count"),
    Column("inline", FLAG, "e.flags & 1 = 0", "whether its content is kept with the metadata"),
    Column("blocks", NUMBER, "coalesce(b.blocks, 0)", "how many blocks it has"),
    Column("replication", NUMBER, "e.replication", "replicas that its blocks are to have"),
    Column("block_size", NUMBER, "e.block_size", "bytes of a block at most"),
    Column("links", NUMBER, "e.nlink", "hard links"),
    Column("open", FLAG, "e.flags & 16 = 16", "whether somebody writes it"),
    *_ATTRIBUTES,
)
_DIRECTORY: Final = (
    *_NAMED,
    Column("files", NUMBER, "t.files", "entries that are no directories, directly in it"),
    Column("directories", NUMBER, "t.directories", "directories directly in it"),
    Column("size", NUMBER, "t.size", "bytes of the files directly in it"),
    Column("total_files", NUMBER, "t.total_files", "entries that are no directories, in the whole tree"),
    Column("total_directories", NUMBER, "t.total_directories", "directories in the tree, without itself"),
    Column("total_size", NUMBER, "t.total_size", "bytes of all files in the tree"),
    Column("total_space", NUMBER, "t.total_space", "the same with replicas"),
    *_ATTRIBUTES,
)

VIEWS: Final = {
    view.name: view
    for view in (
        View("files", "entry", _ENTRY, "e.mode & 61440 = 32768"),
        View("entries", "entry", _ENTRY),
        View("directories", "entry", _DIRECTORY, "e.mode & 61440 = 16384"),
        View(
            "blocks",
            "block",
            (
                Column("block_id", NUMBER, "e.block_id", "its number"),
                Column("inode_id", NUMBER, "e.inode_id", "the file's number"),
                Column("file_offset", NUMBER, "e.offset", "where in the file it begins"),
                Column("size", NUMBER, "e.length", "committed bytes"),
                Column("generation_stamp", NUMBER, "e.generation_stamp", "the committed one; 0: none yet"),
                Column("open", FLAG, "e.pending_stamp <> 0", "whether somebody writes it"),
                Column("replicas", NUMBER, "coalesce(r.good, 0)", "replicas that are whole and up to date"),
            ),
        ),
        View(
            "replicas",
            "replica",
            (
                Column("block_id", NUMBER, "e.block_id", "the block"),
                Column("storage_id", NUMBER, "e.storage_id", "the volume that has it"),
                Column("generation_stamp", NUMBER, "e.generation_stamp", "below the block's: it is stale"),
                Column("corrupt", FLAG, "e.corrupt", "known to be bad"),
                Column("datanode_id", NUMBER, "s.datanode_id", "the datanode of that volume"),
            ),
        ),
        View(
            "storages",
            "storage",
            (
                Column("storage_id", NUMBER, "e.storage_id", "its number"),
                Column("uuid", TEXT, "e.uuid", "its name"),
                Column("datanode_id", NUMBER, "e.datanode_id", "whose volume it is"),
                Column("storage_type", TEXT, "e.storage_type", "DISK, SSD, ARCHIVE or RAM_DISK"),
                Column("failed", FLAG, "e.state = 1", "whether the disk has failed"),
                Column("capacity", NUMBER, "e.capacity", "bytes"),
                Column("used", NUMBER, "e.used", "bytes"),
                Column("remaining", NUMBER, "e.remaining", "bytes"),
            ),
        ),
        View(
            "datanodes",
            "datanode",
            (
                Column("datanode_id", NUMBER, "e.datanode_id", "its number"),
                Column("uuid", TEXT, "e.uuid", "its name"),
                Column("host", TEXT, "e.host", "where it is"),
                Column("port", NUMBER, "e.data_port", "where it serves blocks"),
                Column("rack", TEXT, "e.rack", "where it stands"),
                Column("state", TEXT, "['live', 'dead', 'decommissioning'][e.state + 1]", "as last recorded"),
                Column("heartbeat", TIME, _time("heartbeat_ns"), "when it was last heard of, UTC"),
                Column("capacity", NUMBER, "e.capacity", "bytes"),
                Column("used", NUMBER, "e.used", "bytes"),
                Column("remaining", NUMBER, "e.remaining", "bytes"),
            ),
        ),
        View(
            "open_files",
            "open_file",
            (
                Column("inode_id", NUMBER, "e.inode_id", "the file"),
                Column("holder", TEXT, "e.holder", "the writer"),
                Column("exclusive", FLAG, "e.exclusive", "whether it is the only one allowed"),
                Column("opened", TIME, _time("opened_ns"), "since when, UTC"),
            ),
        ),
        View(
            "xattrs",
            "xattr",
            (
                Column("inode_id", NUMBER, "e.inode_id", "whose it is"),
                Column("name", TEXT, "e.name", "such as user.comment"),
                Column("value", BYTES, "e.value", "bytes"),
            ),
        ),
        View(
            "quotas",
            "quota",
            (
                Column("inode_id", NUMBER, "e.inode_id", "the directory"),
                Column("names", NUMBER, "e.names", "names in its tree"),
                Column("names_max", NUMBER, "NULLIF(e.names_max, -1)", "at most"),
                Column("space", NUMBER, "e.space", "bytes that its tree takes"),
                Column("space_max", NUMBER, "NULLIF(e.space_max, -1)", "at most"),
            ),
            "e.inode_id <> 0",
        ),
    )
}

JOINS: Final = {
    "p": "JOIN raw.dirs p ON p.id = e.parent_id",
    "u": "LEFT JOIN raw.users u ON u.id = e.uid",
    "g": "LEFT JOIN raw.groups g ON g.id = e.gid",
    "t": "JOIN raw.totals t ON t.id = e.id",
    "b": "LEFT JOIN (SELECT inode_id, count(*) AS blocks FROM raw.block GROUP BY inode_id) b "
    "ON b.inode_id = e.id",
    "r": "LEFT JOIN (SELECT r.block_id, count(*) AS good FROM raw.replica r "
    "JOIN raw.block k ON k.block_id = r.block_id AND r.generation_stamp >= k.generation_stamp "
    "WHERE NOT r.corrupt GROUP BY r.block_id) r ON r.block_id = e.block_id",
    "s": "LEFT JOIN raw.storage s ON s.storage_id = e.storage_id",
}
TAKEN: Final = {
    "p": {"entry": {"id", "parent_id", "name", "mode"}},
    "u": {"entry": {"uid"}},
    "g": {"entry": {"gid"}},
    "t": {"entry": {"id", "parent_id", "name", "mode", "length", "flags", "replication"}},
    "b": {"block": {"inode_id"}},
    "r": {
        "block": {"block_id", "generation_stamp"},
        "replica": {"block_id", "generation_stamp", "corrupt"},
    },
    "s": {"storage": {"storage_id", "datanode_id"}},
}
"""What each join takes of which source."""
