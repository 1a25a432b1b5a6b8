"""Random calls of Hadoop's Java client, the same ones on two filesystems; replayed from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

Call = tuple[str, str, tuple[Any, ...]]
"""(user, verb, arguments): see ``JavaClient``."""

ROOT = "/walk"
USERS = ("root", "root", "alice", "bob")
NAMES = ("a", "b", "c", "d")
# Empty, inline, beyond the inline limit, several blocks.
SIZES = (0, 10, 600, 5_000, 70_000, 1_300_000)
MODES = (0o777, 0o755, 0o700, 0o644, 0o600, 0o111, 0o555, 0o1777, 0o1755)
ACL_SPECS = (
    "user:alice:rwx",
    "user:bob:r--,group:staff:rw-",
    "mask::r--",
    "group::---",
    "default:user:alice:rwx",
    "default:group:staff:r-x,default:mask::r-x",
    "user::rw-,group::r--,other::---",
    "user::rwx,user:alice:r-x,group::r-x,other::---",
)
REMOVED_SPECS = ("user:alice", "user:bob,group:staff", "default:user:alice", "mask:", "group:nosuch")
SYNCS = ("hflush", "hsync", "UPDATE_LENGTH", "END_BLOCK")
# Not COLD: without archives, HDFS then refuses blocks, and small files need none here.
POLICIES = ("HOT", "WARM", "ALL_SSD", "ONE_SSD", "NOSUCH")


class Walk:
    """Draws calls. Paths are few and short, so that they meet often."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._draws: list[tuple[int, Callable[[], Call]]] = [
            (14, self._create),
            (10, self._mkdirs),
            (8, self._rename),
            (5, self._delete),
            (6, self._change),
            (9, self._open),
            (2, self._quota),
            (14, self._look),
            (12, self._attribute),
            (6, self._xattr),
            (8, self._acl),
        ]
        self._weights = [weight for weight, _ in self._draws]

    def next(self) -> Call:
        """The next call."""
        (_, draw), *_ = self._random.choices(self._draws, self._weights)
        return draw()

    def _path(self, deepest: int = 3) -> str:
        depth = self._random.choice((0, *[1] * 4, *[2] * 5, *[deepest] * 2))
        return "/".join([ROOT, *(self._random.choice(NAMES) for _ in range(depth))])

    def _user(self) -> str:
        return self._random.choice(USERS)

    def _flag(self) -> bool:
        return self._random.random() < 0.5

    def _content(self) -> bytes:
        return self._random.randbytes(self._random.choice(SIZES))

    def _create(self) -> Call:
        return self._user(), "create", (self._path(), self._content(), self._flag(), self._flag())

    def _mkdirs(self) -> Call:
        return self._user(), "mkdirs", (self._path(4), self._random.choice(MODES), self._flag())

    def _rename(self) -> Call:
        if self._flag():
            return self._user(), "rename", (self._path(), self._path())
        return self._user(), "rename2", (self._path(), self._path(), self._flag())

    def _delete(self) -> Call:
        path = self._path()
        return self._user(), "delete", (path, path != ROOT and self._flag())

    def _change(self) -> Call:
        verb = self._random.choice(("append", "truncate", "concat"))
        path = self._path()
        if verb == "append":
            return self._user(), verb, (path, self._content())
        if verb == "truncate":
            return self._user(), verb, (path, self._random.choice((0, 1, 512, 4_000, 66_000, 1_048_576)))
        return self._user(), verb, (path, *(self._path() for _ in range(self._random.randint(1, 2))))

    def _open(self) -> Call:
        """What concerns files that stay open: few files and two users, who get into each other's way."""
        verb = self._random.choice(("open", "reopen", "more", "more", "close", "close", "recover_lease"))
        more: tuple[Any, ...] = () if verb in ("close", "recover_lease") else (self._content(),)
        if verb == "reopen":
            more = (*more, self._random.random() < 0.2)
        elif verb == "more":
            more = (*more, self._random.choice(SYNCS))
        path = self._random.choice((f"{ROOT}/a", f"{ROOT}/b", f"{ROOT}/b/a"))
        return self._random.choice(("root", "alice")), verb, (path, *more)

    def _quota(self) -> Call:
        # Not few names: HDFS has removed a file already when it finds no room for what is to replace it.
        # Nor little space: HDFS counts whole blocks for files that are being written or truncated.
        names, space = self._random.choice((-1, 400)), self._random.choice((-1, 300_000_000))
        return self._random.choice(("root", "root", "bob")), "quota", (self._path(2), names, space)

    def _look(self) -> Call:
        verbs = ("status", "list", "summary", "locations", "read", "closed", "block_size", "access")
        verb = self._random.choice((*verbs, "located", "batched", "pread"))
        if verb == "pread":
            offset, length = self._random.choice((0, 5, 511, 4_000, 1_000_000)), self._random.choice((1, 600))
            return self._user(), verb, (self._path(), offset, length)
        if verb == "batched":
            return self._user(), verb, tuple(self._path() for _ in range(3))
        more = (self._random.randrange(8),) if verb == "access" else ()
        return self._user(), verb, (self._path(), *more)

    def _attribute(self) -> Call:
        verb = self._random.choice(("chmod", "chmod", "chown", "times", "replication"))
        path, choice = self._path(), self._random.choice
        if verb == "chmod":
            return self._user(), verb, (path, choice(MODES))
        if verb == "chown":
            return self._user(), verb, (path, choice((None, "alice", "bob")), choice((None, "staff", "crew")))
        if verb == "times":
            return self._user(), verb, (path, choice((-1, 10**12)), choice((-1, 10**11)))
        return self._user(), verb, (path, choice((0, 1, 1, 600)))

    def _xattr(self) -> Call:
        verb = self._random.choice(("set_xattr", "set_xattr", "remove_xattr", "xattrs"))
        path = self._path()
        name = self._random.choice(("user.a", "user.b", "trusted.a", "system.a", "nosuch.a"))
        if verb == "set_xattr":
            create = self._flag()
            return self._user(), verb, (path, name, self._content()[:20], create, not create or self._flag())
        return self._user(), verb, (path, name) if verb == "remove_xattr" else (path,)

    def _acl(self) -> Call:
        removals = ("remove_acl_entries", "remove_acl", "remove_default_acl")
        changes = ("set_acl", "modify_acl", "modify_acl", "set_policy", *removals)
        verb = self._random.choice(("acl", "acl", "policy", *changes))
        path = self._path()
        if verb in ("set_acl", "modify_acl"):
            return self._user(), verb, (path, self._random.choice(ACL_SPECS))
        if verb == "remove_acl_entries":
            return self._user(), verb, (path, self._random.choice(REMOVED_SPECS))
        if verb == "set_policy":
            return self._user(), verb, (path, self._random.choice(POLICIES))
        return self._user(), verb, (path,)
