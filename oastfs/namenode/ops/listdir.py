"""listdir: one page of a directory."""

from __future__ import annotations

from itertools import islice

from oastfs.core.errors import InvalidArgument
from oastfs.core.limits import LIST_PAGE_MAX
from oastfs.core.types import FileStatus, Flag, Listing
from oastfs.namenode import tree
from oastfs.namenode.context import Context
from oastfs.namenode.permissions import READ, require
from oastfs.namenode.tree import Node
from oastfs.store.schema import DIRECTORY, INODE, LINKED_INODE, Inode
from oastfs.store.transaction import EncodedRows, Transaction

_LINKED = int(Flag.LINKED)


def listdir(tx: Transaction, context: Context, path: str, after: str, limit: int) -> Listing:
    """Entries after a name, in name order: a range scan that starts where the last page ended."""
    if context.environment.hints is not None:
        context.environment.hints.expect(tx, path, entries=True)
    node = tree.resolve(tx, context, path)
    if not node.is_directory:
        check_limit(limit)
        return Listing([] if after else [tree.status_of(tx, context, node)], False)
    nodes, more = page_of(tx, context, node, path, after, limit)
    return Listing(statuses_of(tx, context, nodes), more)


def page_of(
    tx: Transaction, context: Context, directory: Node, path: str, after: str, limit: int
) -> tuple[list[Node], bool]:
    """At most ``limit`` entries of a directory that sort after a name, and whether others follow."""
    check_limit(limit)
    require(context, directory.inode, READ, path)
    directory_id = directory.inode.id
    rows = tx.scan(INODE, (directory_id,), (after,) if after else None, limit + 1)
    nodes = [Node(directory_id, key[1], inode) for key, inode in islice(rows, limit)]  # type: ignore[arg-type]
    if (hints := context.environment.hints) is not None:
        for node in nodes:
            hints.note(directory_id, node.name, node.inode)
    return nodes, next(rows, None) is not None


def encoded_page_of(
    tx: Transaction, context: Context, directory: Node, path: str, after: str, limit: int
) -> tuple[EncodedRows[Inode], bool] | None:
    """As ``page_of``, the entries' rows as the store has them; None from one that has no bytes of them."""
    check_limit(limit)
    require(context, directory.inode, READ, path)
    prefix = (directory.inode.id,)
    found = tx.scan_encoded(INODE, prefix, (after,) if after else None, limit=limit + 1)
    if found is None:
        return None
    more = len(found.rows) > limit
    del found.rows[limit:]
    return found, more


def check_limit(limit: int) -> None:
    """Raise unless it may be the size of a page."""
    if limit < 1 or limit > LIST_PAGE_MAX:
        raise InvalidArgument(f"a page holds 1 to {LIST_PAGE_MAX} entries, not {limit}")


def statuses_of(tx: Transaction, context: Context, nodes: list[Node]) -> list[FileStatus]:
    """Statuses of a page: plain files as they are, the others' further rows in one batch each."""
    directories = [node for node in nodes if node.is_directory]
    rows = iter(tx.get_many(DIRECTORY, [(node.inode.id,) for node in directories]))
    linked = [node.inode.id for node in nodes if node.inode.flags & _LINKED]
    inodes = dict(zip(linked, tx.get_many(LINKED_INODE, [(number,) for number in linked]), strict=True))
    statuses = []
    for node in nodes:
        inode = node.inode
        if inode.mode & 0o170000 == 0o040000:
            statuses.append(tree.directory_status(node, next(rows)))
        else:
            shown = inodes[inode.id] or inode if inode.flags & _LINKED else inode
            statuses.append(tree.file_status(context, node.parent_id, node.name, shown))
    return statuses
