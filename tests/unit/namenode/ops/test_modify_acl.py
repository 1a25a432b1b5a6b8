"""modify_acl: who may, what it permits, and what becomes of the mode."""

from __future__ import annotations

import stat

import pytest

from oastfs.core.errors import BadAcl, NotPermitted, PermissionDenied, Unsupported
from oastfs.core.types import Caller, Flag, RenameMode
from oastfs.namenode.namespace import Namespace
from oastfs.store.transaction import Store
from tests.unit.namenode.acls.texts import acl, text
from tests.unit.namenode.conftest import ALICE, BOB, EVE, ROOT, SECOND_NS, Clock

TEAM = Caller("ted", 1010, (1010, 4000, 4001))


@pytest.fixture
def files(namespace: Namespace) -> Namespace:
    namespace.write_file(ALICE, "/tmp/f", b"content", 0o640)
    namespace.chown(ROOT, "/tmp/f", -1, ALICE.gids[0])
    return namespace


def may(namespace: Namespace, caller: Caller, mask: int, path: str = "/tmp/f") -> bool:
    try:
        namespace.access(caller, path, mask)
    except PermissionDenied:
        return False
    return True


def test_a_named_user_gets_in(files: Namespace, clock: Clock) -> None:
    before = files.stat(ALICE, "/tmp/f")
    clock.advance(1)
    status = files.modify_acl(ALICE, "/tmp/f", acl(f"user:{BOB.uid}:rw-"))
    assert stat.S_IMODE(status.mode) == 0o660
    assert status.flags & Flag.ACL
    assert status == files.stat(ALICE, "/tmp/f")
    assert (status.mtime_ns, status.ctime_ns - before.ctime_ns >= SECOND_NS) == (before.mtime_ns, True)
    assert files.open(BOB, "/tmp/f").data == b"content"
    assert may(files, BOB, 6) and not may(files, BOB, 1) and not may(files, EVE, 4)


def test_the_mask_bounds_named_users_and_groups(files: Namespace) -> None:
    files.modify_acl(ALICE, "/tmp/f", acl(f"user:{BOB.uid}:rw-,group:4000:rwx,mask::r--,other::r--"))
    assert may(files, BOB, 4) and not may(files, BOB, 2)
    assert may(files, TEAM, 4) and not may(files, TEAM, 5)
    assert may(files, ALICE, 6)
    files.chmod(ALICE, "/tmp/f", 0o620)
    assert may(files, BOB, 2) and not may(files, BOB, 4)
    assert text(files.get_acl(BOB, "/tmp/f").entries) == (
        f"user::rw-,user:{BOB.uid}:rw-,group::r--,group:4000:rwx,mask::-w-,other::---"
    )


def test_one_of_several_groups_must_grant_all(files: Namespace) -> None:
    files.modify_acl(ALICE, "/tmp/f", acl("group:4000:r--,group:4001:-w-,other::rwx"))
    assert may(files, TEAM, 4) and may(files, TEAM, 2)
    assert not may(files, TEAM, 6) and not may(files, TEAM, 1)
    assert may(files, EVE, 7)


def test_only_the_owner_may(files: Namespace) -> None:
    with pytest.raises(NotPermitted):
        files.modify_acl(BOB, "/tmp/f", acl(f"user:{BOB.uid}:rwx"))
    files.modify_acl(ROOT, "/tmp/f", acl(f"user:{BOB.uid}:rwx"))
    with pytest.raises(NotPermitted):
        files.modify_acl(BOB, "/tmp/f", acl(f"user:{EVE.uid}:rwx"))


def test_directories_let_named_users_in(namespace: Namespace) -> None:
    namespace.mkdirs(ALICE, "/tmp/d", 0o700)
    namespace.write_file(ALICE, "/tmp/d/f", b"x")
    namespace.modify_acl(ALICE, "/tmp/d", acl(f"user:{BOB.uid}:r-x"))
    assert namespace.open(BOB, "/tmp/d/f").data == b"x"
    assert [entry.name for entry in namespace.listdir(BOB, "/tmp/d").entries] == ["f"]
    with pytest.raises(PermissionDenied):
        namespace.write_file(BOB, "/tmp/d/g", b"")
    namespace.modify_acl(ALICE, "/tmp/d", acl(f"user:{BOB.uid}:rwx"))
    namespace.write_file(BOB, "/tmp/d/g", b"")


def test_files_have_no_default_entries(files: Namespace) -> None:
    with pytest.raises(BadAcl, match=r"^Invalid ACL: only directories may have a default ACL. Path: /tmp/f"):
        files.modify_acl(ALICE, "/tmp/f", acl("default:user::rwx"))


def test_symbolic_links_have_none(namespace: Namespace) -> None:
    inode_id = namespace.symlink(ALICE, "/tmp/l", "nothing").inode_id
    with pytest.raises(Unsupported):
        namespace.modify_acl(ALICE, f"/.reserved/.inodes/{inode_id}", acl("user:7:r--"))


def test_further_names_and_new_places_keep_it(files: Namespace) -> None:
    files.modify_acl(ALICE, "/tmp/f", acl(f"user:{BOB.uid}:r--"))
    expected = files.get_acl(ALICE, "/tmp/f")
    files.link(ALICE, "/tmp/f", "/tmp/g")
    assert files.stat(ALICE, "/tmp/g").flags & Flag.ACL
    assert files.get_acl(ALICE, "/tmp/g") == files.get_acl(ALICE, "/tmp/f") == expected
    assert all(entry.flags & Flag.ACL for entry in files.listdir(ALICE, "/tmp").entries)
    files.rename(ALICE, "/tmp/g", "/home/alice/g")
    files.write_file(ALICE, "/tmp/other", b"", 0o600)
    files.rename(ALICE, "/home/alice/g", "/tmp/other", RenameMode.EXCHANGE)
    assert files.get_acl(ALICE, "/tmp/other") == expected
    files.unlink(ALICE, "/tmp/f")
    assert files.get_acl(ALICE, "/tmp/other") == expected
    files.modify_acl(ALICE, "/tmp/other", acl(f"user:{EVE.uid}:r--"))
    assert may(files, EVE, 4, "/tmp/other") and may(files, BOB, 4, "/tmp/other")


def test_writing_keeps_it(files: Namespace) -> None:
    files.modify_acl(ALICE, "/tmp/f", acl(f"user:{BOB.uid}:rw-"))
    expected = files.get_acl(ALICE, "/tmp/f")
    files.write_file(BOB, "/tmp/f", b"other content")
    files.truncate(BOB, "/tmp/f", 3)
    files.create(BOB, "/tmp/f", 0o600, overwrite=True, holder="bob")
    files.complete(BOB, "/tmp/f", "bob", [])
    files.chown(ROOT, "/tmp/f", -1, ALICE.gids[0])
    files.utimes(ALICE, "/tmp/f", 1, 1)
    files.set_xattr(ALICE, "/tmp/f", "user.a", b"1")
    assert files.get_acl(ALICE, "/tmp/f") == expected


def test_who_is_not_of_the_group_ends_set_group_id(namespace: Namespace) -> None:
    namespace.write_file(ALICE, "/tmp/f", b"")
    namespace.chown(ROOT, "/tmp/f", -1, 777)
    namespace.chmod(ROOT, "/tmp/f", 0o2755)
    assert namespace.modify_acl(ROOT, "/tmp/f", acl("user:7:r--")).mode & stat.S_ISGID
    assert not namespace.modify_acl(ALICE, "/tmp/f", acl("user:8:r--")).mode & stat.S_ISGID


def test_what_a_reader_of_old_rows_finds(files: Namespace, store: Store) -> None:
    """Rows that were written before there were ACLs are a field shorter."""
    import msgspec

    from oastfs.store.schema import Inode

    old = msgspec.msgpack.encode((1, 0o100644, 2, 3, 4, 5, 6, 7, 0, 1, 0, 0, 0))
    assert msgspec.msgpack.decode(old, type=Inode) == Inode(1, 0o100644, 2, 3, 4, 5, 6, 7)
