"""Ways to break the tree, links, content and attributes. Importing this registers them."""

from __future__ import annotations

import stat

import msgspec

from oastfs.core.types import Flag
from oastfs.store.schema import (
    CONTENT,
    DIRECTORY,
    INODE,
    LEASE,
    LINK,
    LINKED_INODE,
    OPEN_FILE,
    PLACE,
    QUOTA,
    ROOT_ID,
    XATTR,
    Content,
    Link,
    OpenFile,
    Place,
    Quota,
    Xattr,
)
from oastfs.store.transaction import Transaction
from tests.unit.namenode.fsck.whole import NOWHERE, Whole, change, damage, entry

_replace = msgspec.structs.replace


# --- the tree -------------------------------------------------------------------------------------


@damage("no-root")
def root_entry_lost(tx: Transaction, w: Whole) -> None:
    tx.delete(INODE, (0, ""))


@damage("no-root")
def root_directory_row_lost(tx: Transaction, w: Whole) -> None:
    tx.delete(DIRECTORY, (ROOT_ID,))


@damage("no-root", mended=False)
def root_is_a_file(tx: Transaction, w: Whole) -> None:
    change(tx, 0, "", mode=stat.S_IFREG | 0o644)


@damage("entry-without-directory")
def entry_in_nothing(tx: Transaction, w: Whole) -> None:
    tx.put(INODE, (NOWHERE, "small"), entry(tx, w.d, "small"))
    tx.delete(INODE, (w.d, "small"))
    tx.put(PLACE, (w.small,), Place(NOWHERE, "small"))


@damage("entry-without-directory")
def directory_lost_with_its_rows(tx: Transaction, w: Whole) -> None:
    tx.delete(INODE, (w.d, "e"))
    tx.delete(DIRECTORY, (w.e,))
    tx.delete(PLACE, (w.e,))


@damage("no-place")
def place_lost(tx: Transaction, w: Whole) -> None:
    tx.delete(PLACE, (w.small,))


@damage("no-place")
def place_elsewhere(tx: Transaction, w: Whole) -> None:
    tx.put(PLACE, (w.small,), Place(w.d, "other"))


@damage("dangling-place")
def place_of_nothing(tx: Transaction, w: Whole) -> None:
    tx.put(PLACE, (NOWHERE,), Place(w.d, "nothing"))


@damage("two-entries")
def file_in_two_places(tx: Transaction, w: Whole) -> None:
    tx.put(INODE, (w.e, "copy"), entry(tx, w.d, "small"))


@damage("two-entries")
def directory_in_two_places(tx: Transaction, w: Whole) -> None:
    tx.put(INODE, (ROOT_ID, "copy"), entry(tx, w.d, "e"))
    row = tx.get(DIRECTORY, (ROOT_ID,))
    assert row is not None
    tx.put(DIRECTORY, (ROOT_ID,), _replace(row, subdirectories=row.subdirectories + 1))


@damage("no-directory-row")
def directory_row_lost(tx: Transaction, w: Whole) -> None:
    tx.delete(DIRECTORY, (w.f,))


@damage("directory-without-entry")
def directory_entry_lost(tx: Transaction, w: Whole) -> None:
    tx.delete(INODE, (w.d, "e"))


@damage("directory-without-entry")
def empty_directory_entry_lost(tx: Transaction, w: Whole) -> None:
    tx.delete(INODE, (w.e, "f"))


@damage("subdirectory-count")
def subdirectories_miscounted(tx: Transaction, w: Whole) -> None:
    row = tx.get(DIRECTORY, (w.d,))
    assert row is not None
    tx.put(DIRECTORY, (w.d,), _replace(row, subdirectories=7))


@damage("cycle")
def directory_in_itself(tx: Transaction, w: Whole) -> None:
    """/d/e moves into /d/e/f, as two renames without a mutex could do it."""
    tx.put(INODE, (w.f, "e"), entry(tx, w.d, "e"))
    tx.delete(INODE, (w.d, "e"))
    tx.put(PLACE, (w.e,), Place(w.f, "e"))
    for inode_id, count in ((w.d, 0), (w.f, 1)):
        row = tx.get(DIRECTORY, (inode_id,))
        assert row is not None
        tx.put(DIRECTORY, (inode_id,), _replace(row, subdirectories=count))


@damage("bad-name")
def name_with_a_slash(tx: Transaction, w: Whole) -> None:
    tx.put(INODE, (w.d, "a/b"), entry(tx, w.d, "small"))
    tx.delete(INODE, (w.d, "small"))
    tx.put(PLACE, (w.small,), Place(w.d, "a/b"))


@damage("bad-name", mended=False)
def hidden_entry_misnamed(tx: Transaction, w: Whole) -> None:
    tx.put(INODE, (3, "17"), entry(tx, 3, str(w.orphan)))
    tx.delete(INODE, (3, str(w.orphan)))
    tx.put(PLACE, (w.orphan,), Place(3, "17"))


@damage("bad-mode", mended=False)
def kind_unknown(tx: Transaction, w: Whole) -> None:
    change(tx, w.d, "small", mode=0o030644)


# --- links ----------------------------------------------------------------------------------------


@damage("dangling-link")
def linked_inode_lost(tx: Transaction, w: Whole) -> None:
    tx.delete(LINKED_INODE, (w.linked,))


@damage("unlisted-link")
def link_row_lost(tx: Transaction, w: Whole) -> None:
    tx.delete(LINK, (w.linked, w.d, "first"))


@damage("link-without-entry")
def link_row_of_nothing(tx: Transaction, w: Whole) -> None:
    tx.put(LINK, (w.linked, w.f, "third"), Link())


@damage("link-count")
def links_miscounted(tx: Transaction, w: Whole) -> None:
    row = tx.get(LINKED_INODE, (w.linked,))
    assert row is not None
    tx.put(LINKED_INODE, (w.linked,), _replace(row, nlink=9))


@damage("link-count")
def link_count_of_a_plain_file(tx: Transaction, w: Whole) -> None:
    change(tx, w.d, "small", nlink=2)


@damage("linked-inode-without-entry")
def all_names_lost(tx: Transaction, w: Whole) -> None:
    tx.delete(INODE, (w.d, "first"))
    tx.delete(INODE, (w.e, "second"))
    tx.delete(LINK, (w.linked, w.d, "first"))
    tx.delete(LINK, (w.linked, w.e, "second"))


@damage("linked-flag")
def linked_flag_lost(tx: Transaction, w: Whole) -> None:
    row = tx.get(LINKED_INODE, (w.linked,))
    assert row is not None
    tx.put(LINKED_INODE, (w.linked,), _replace(row, flags=0))


# --- content and attributes -----------------------------------------------------------------------


@damage("content-without-inode")
def content_of_nothing(tx: Transaction, w: Whole) -> None:
    tx.put(CONTENT, (NOWHERE,), Content(b"x"))


@damage("content-beside-blocks")
def content_and_blocks(tx: Transaction, w: Whole) -> None:
    tx.put(CONTENT, (w.blocks,), Content(b"x"))


@damage("content-beside-blocks")
def blocks_promised(tx: Transaction, w: Whole) -> None:
    change(tx, w.d, "small", flags=int(Flag.BLOCKS | Flag.XATTRS))


@damage("content-too-long")
def content_past_the_length(tx: Transaction, w: Whole) -> None:
    change(tx, w.d, "small", length=3)


@damage("bad-symlink", mended=False)
def symlink_without_target(tx: Transaction, w: Whole) -> None:
    tx.delete(CONTENT, (w.symlink,))


@damage("bad-inode", mended=False)
def negative_length(tx: Transaction, w: Whole) -> None:
    change(tx, w.d, "open", length=-1)


@damage("xattr-without-inode")
def xattr_of_nothing(tx: Transaction, w: Whole) -> None:
    tx.put(XATTR, (NOWHERE, "user.a"), Xattr(b"1"))
    tx.put(XATTR, (NOWHERE, "user.b"), Xattr(b"1"))


@damage("flag")
def xattrs_hidden(tx: Transaction, w: Whole) -> None:
    change(tx, w.d, "small", flags=0)


@damage("flag")
def xattrs_promised(tx: Transaction, w: Whole) -> None:
    change(tx, w.d, "open", flags=int(Flag.OPEN | Flag.XATTRS))


@damage("flag")
def writers_hidden(tx: Transaction, w: Whole) -> None:
    change(tx, w.d, "open", flags=0)


@damage("flag")
def writers_promised(tx: Transaction, w: Whole) -> None:
    change(tx, w.d, "small", flags=int(Flag.OPEN | Flag.XATTRS))


@damage("flag")
def blocks_hidden(tx: Transaction, w: Whole) -> None:
    change(tx, w.d, "blocks", flags=0)


@damage("flag")
def blocks_of_a_symlink(tx: Transaction, w: Whole) -> None:
    change(tx, w.d, "symlink", flags=int(Flag.BLOCKS))


@damage("writer-without-file")
def writer_of_nothing(tx: Transaction, w: Whole) -> None:
    tx.put(OPEN_FILE, (NOWHERE, "writer"), OpenFile(True, 0))


@damage("writer-without-lease")
def lease_lost(tx: Transaction, w: Whole) -> None:
    tx.delete(LEASE, ("writer",))


@damage("two-writers")
def two_exclusive_writers(tx: Transaction, w: Whole) -> None:
    tx.put(OPEN_FILE, (w.open, "mount"), OpenFile(True, 0))


# --- ACLs -----------------------------------------------------------------------------------------


@damage("flag")
def flag_of_no_acl(tx: Transaction, w: Whole) -> None:
    change(tx, w.d, "small", flags=entry(tx, w.d, "small").flags | Flag.ACL)


@damage("flag")
def acl_without_flag(tx: Transaction, w: Whole) -> None:
    change(tx, w.d, "small", acl=bytes([0o17]))


@damage("bad-acl")
def acl_of_no_form(tx: Transaction, w: Whole) -> None:
    change(tx, w.d, "small", acl=b"\xff\xff", flags=entry(tx, w.d, "small").flags | Flag.ACL)


@damage("bad-acl")
def acl_without_group(tx: Transaction, w: Whole) -> None:
    change(tx, w.d, "small", acl=b"\x47\1\0\0\0", flags=entry(tx, w.d, "small").flags | Flag.ACL)


@damage("bad-acl")
def default_acl_of_a_file(tx: Transaction, w: Whole) -> None:
    change(tx, w.d, "small", acl=bytes([0o47, 0o57, 0o77]), flags=Flag.ACL | Flag.XATTRS)


@damage("bad-acl")
def acl_of_a_link(tx: Transaction, w: Whole) -> None:
    change(tx, w.d, "symlink", acl=bytes([0o17]), flags=int(Flag.ACL))


# --- quotas -----------------------------------------------------------------------------------------


@damage("quota-usage")
def quota_miscounted(tx: Transaction, w: Whole) -> None:
    row = tx.get(QUOTA, (w.d,))
    assert row is not None
    tx.put(QUOTA, (w.d,), _replace(row, names=row.names + 1))


@damage("quota-without-directory")
def quota_of_nothing(tx: Transaction, w: Whole) -> None:
    tx.put(QUOTA, (NOWHERE,), Quota(1, -1, 1, 0))
    tx.put(QUOTA, (0,), Quota(-1, -1, 2, 0))


@damage("quota-count")
def quotas_hidden(tx: Transaction, w: Whole) -> None:
    tx.delete(QUOTA, (0,))
