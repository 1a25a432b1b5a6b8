"""A namespace with something of every kind, for what must carry all of them."""

from __future__ import annotations

import stat

from oastfs.client import Filesystem
from oastfs.core.types import SUPERUSER, AclEntry, AclKind, AclScope

ODD_NAMES = (
    "line\nbreak", "tab\there", "back\\slash", "quote'\"", "\\N", "\\.", " ", "-rf", "é", "e\u0301",
    "\u202egnp.exe", "\U0001f3db", "\U0010ffff", "\ue000", "\x01\x7f", "%s{}$1", "x" * 255, "ü" * 127,
)  # fmt: skip
"""Names that are allowed and that some format or other trips over."""
OPEN_HOLDER = "a-writer-that-never-ends"


def make_everything(fs: Filesystem, large: bytes = b"") -> dict[str, bytes]:
    """Make it; the files whose content may be compared. ``large`` (if not empty) is content for blocks."""
    contents = {f"/odd/{name}": name.encode() for name in ODD_NAMES}
    contents |= {"/empty": b"", "/small": bytes(range(256)) * 20, "/linked": b"two names"}
    for path, content in contents.items():
        fs.write_bytes(path, content, parents=True)
    if large:
        contents |= {"/large": large, "/moved/elsewhere/large": large[::-1]}
        fs.write_bytes("/large", large)
        fs.makedirs("/before")
        fs.write_bytes("/before/large", large[::-1])
        fs.makedirs("/moved")
        fs.rename("/before", "/moved/elsewhere")
        fs.set_replication("/moved/elsewhere/large", 2)
    fs.link("/linked", "/odd/other name")
    contents["/odd/other name"] = contents["/linked"]
    fs.symlink("/to nowhere", "../nowhere/\U0001f3db")
    _make_special(fs)
    return contents


def _make_special(fs: Filesystem) -> None:
    metadata = fs.metadata
    metadata.mknod(SUPERUSER, "/fifo", stat.S_IFIFO | 0o600)
    metadata.mknod(SUPERUSER, "/device", stat.S_IFCHR | 0o666, 0x0103)
    fs.makedirs("/governed/below")
    fs.chmod("/governed", 0o1775)
    metadata.set_quota(SUPERUSER, "/governed", 100, 1 << 30)
    metadata.set_quota(SUPERUSER, "/governed/below", -1, 1 << 20, "SSD")
    metadata.set_storage_policy(SUPERUSER, "/governed", "COLD")
    named = AclEntry(AclScope.ACCESS, AclKind.USER, 4321, 6)
    inherited = AclEntry(AclScope.DEFAULT, AclKind.GROUP, 8765, 5)
    metadata.modify_acl(SUPERUSER, "/governed", [named, inherited])
    metadata.modify_acl(SUPERUSER, "/small", [named])
    for name, value in (("user.empty", b""), ("user.\u00e9", b"\0\xff\\\n"), ("trusted.long", b"y" * 5000)):
        metadata.set_xattr(SUPERUSER, "/small", name, value)
    uids, gids = metadata.principal_ids(SUPERUSER, ["somebody", "\u00c5ngstr\u00f6m"], ["a group"])
    metadata.chown(SUPERUSER, "/governed/below", uids[1], gids[0])
    metadata.create(SUPERUSER, "/being written", holder=OPEN_HOLDER)
    metadata.write_inline(SUPERUSER, "/being written", [(0, b"so far")], holder=OPEN_HOLDER)
    fs.makedirs("/user/root/.Trash/Current/gone")
    fs.write_bytes("/user/root/.Trash/Current/gone/file", b"in the trash")
    fs.makedirs("/removed/tree/of/directories")
    fs.write_bytes("/removed/tree/file", b"waits to be reclaimed")
    fs.rmtree("/removed")
    fs.write_bytes("/kept", b"unlinked while open")
    metadata.unlink(SUPERUSER, "/kept", OPEN_HOLDER)
