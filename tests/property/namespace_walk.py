"""Random walks over the rules of the model test, from a seed.

Hypothesis makes its steps simple, so that a failure can be understood. These walks make them likely to meet:
most paths exist, trees grow, and several users get in each other's way. A failing walk is cut down to the
steps that matter.
"""

from __future__ import annotations

import random
import stat
from collections.abc import Callable
from typing import Any

from oastfs.core.types import RenameMode
from tests.property.posix_acls import Acl
from tests.property.posix_model import INLINE_LIMIT

Step = tuple[str, dict[str, Any]]
Draw = Callable[[random.Random], Any]

NAMES = ["a", "b", "c", "é"]
CALLERS = [0, 0, 0, 0, 2, 2, 3, 3, 4, 5]
MODES = [0o755, 0o777, 0o777, 0o700, 0o1777, 0o1777, 0o2775, 0o750, 0o644, 0o4755, 0o6711, 0o070, 0o007, 0]
TARGETS = [
    ".",
    "..",
    "../..",
    "/",
    "/a/../b",
    "b/../../a",
    "a/./b",
    "../a/b",
    "/c//a",
    "no",
    "a/..",
    "../c/..",
]
KINDS = [0, stat.S_IFREG, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK]
ATTRIBUTES = ["user.a", "user.b", "trusted.t", "security.s", "system.y", "other.x", "user."]
OFFSETS = [0, 3, 10, 200, INLINE_LIMIT]


def one_of(*values: Any) -> Draw:
    return lambda source: source.choice(values)


def path(source: random.Random) -> tuple[Any, ...]:
    """A recipe, as the rules take it: see ``NamespacePair.where``."""
    kind = source.choices(["existing", "under", "id", "id under", "names"], [50, 30, 10, 6, 4])[0]
    if kind == "names":
        return (kind, tuple(source.choices(NAMES, k=source.randrange(5))))
    recipe = (kind, source.randrange(1000))
    return recipe if kind in ("existing", "id") else (*recipe, source.choice(NAMES))


def content(source: random.Random) -> bytes:
    if source.random() < 0.9:
        return source.randbytes(source.randrange(9))
    return source.choice([b"x" * INLINE_LIMIT, b"y" * (INLINE_LIMIT + 1)])


def target(source: random.Random) -> str:
    if source.random() < 0.4:
        return str(source.choice(TARGETS))
    names = "/".join(source.choices(NAMES, k=source.randrange(1, 4)))
    return source.choice(["", "/", "../"]) + names


def many(draw: Draw, most: int) -> Draw:
    return lambda source: [draw(source) for _ in range(source.randrange(most + 1))]


def several(*draws: Draw) -> Draw:
    return lambda source: tuple(draw(source) for draw in draws)


caller = one_of(*CALLERS)
flag = one_of(False, True)
mode = one_of(*MODES)
holder = one_of("", "", "writer-1", "writer-2")
writer = one_of("writer-1", "writer-2")
length = one_of(0, 1, 5, 9, 100, INLINE_LIMIT, 3 * INLINE_LIMIT)
attribute = one_of(*ATTRIBUTES)
identity = one_of(-1, 0, 1001, 1002, 1003, 2000)
time_ns = one_of(-1, 0, 1, 10**18 + 1)
patch = several(one_of(*OFFSETS), content)


def acl(source: random.Random, owner: tuple[int, ...] = tuple(range(8))) -> Acl:
    users = {uid: source.randrange(8) for uid in source.sample((1001, 1002, 1003), source.randrange(3))}
    groups = {gid: source.randrange(8) for gid in source.sample((1001, 2000, 2001), source.randrange(3))}
    # Bits that allow something are more of a test than those that deny all.
    bits = [source.choice((0, 1, 4, 5, 6, 7, 7)) for _ in range(3)]
    mask = bits[2] if users or groups or source.random() < 0.2 else None
    return Acl(source.choice(owner), bits[0], bits[1], users, groups, mask)


def default_acl(source: random.Random) -> Acl | None:
    """Owners may always go on: see ``namespace_strategies.default_acls``."""
    return acl(source, (3, 7)) if source.random() < 0.5 else None


RULES: dict[str, tuple[int, dict[str, Draw]]] = {
    "rename": (
        14,
        {"caller": caller, "old": path, "new": path, "mode": one_of(*RenameMode), "keep_for": holder},
    ),
    "mkdirs": (8, {"caller": caller, "path": path, "mode": mode, "parents": flag, "exist_ok": flag}),
    "link": (8, {"caller": caller, "path": path, "new_path": path}),
    "symlink": (7, {"caller": caller, "path": path, "leads_to": target, "parents": flag}),
    "write_file": (
        8,
        {"caller": caller, "path": path, "data": content, "mode": mode, "overwrite": flag, "parents": flag},
    ),
    "write_many": (
        1,
        {"caller": caller, "items": many(several(path, content, mode, flag), 5), "parents": flag},
    ),
    "create": (
        5,
        {
            "caller": caller,
            "path": path,
            "mode": mode,
            "overwrite": flag,
            "parents": flag,
            "holder": holder,
            "replication": one_of(0, 1, 2, 3),
            "block_size": one_of(0, 512, 4096),
        },
    ),
    "write_inline": (
        4,
        {
            "caller": caller,
            "path": path,
            "patches": many(patch, 3),
            "length": one_of(-1, -1, 0, 1, 9, 100, 3 * INLINE_LIMIT),
            "holder": holder,
            "release": flag,
        },
    ),
    "truncate": (3, {"caller": caller, "path": path, "length": length}),
    "append": (2, {"caller": caller, "path": path, "holder": writer}),
    "complete": (2, {"caller": caller, "path": path, "holder": writer}),
    "mknod": (2, {"caller": caller, "path": path, "kind": one_of(*KINDS), "mode": mode}),
    "unlink": (5, {"caller": caller, "path": path, "keep_for": holder}),
    "rmdir": (3, {"caller": caller, "path": path}),
    "delete": (4, {"caller": caller, "path": path, "recursive": flag}),
    "forget": (2, {"choices": many(one_of(*range(30)), 3), "holder": holder}),
    "reclaim": (1, {}),
    "wait": (1, {"seconds": one_of(1, 100, 1300)}),
    "chmod": (4, {"caller": caller, "path": path, "mode": mode, "follow": flag}),
    "set_acl": (5, {"caller": caller, "path": path, "access": acl, "default": default_acl}),
    "modify_acl": (
        3,
        {"caller": caller, "path": path, "uid": one_of(1001, 1002, 1003), "bits": one_of(*range(8))},
    ),
    "remove_acl": (2, {"caller": caller, "path": path}),
    "chown": (4, {"caller": caller, "path": path, "uid": identity, "gid": identity, "follow": flag}),
    "utimes": (
        2,
        {
            "caller": caller,
            "path": path,
            "atime_ns": time_ns,
            "mtime_ns": time_ns,
            "follow": flag,
            "now": flag,
        },
    ),
    "set_xattr": (
        3,
        {
            "caller": caller,
            "path": path,
            "name": attribute,
            "value": lambda source: source.randbytes(3),
            "create": one_of(True, True, False),
            "replace": one_of(True, True, False),
            "follow": flag,
        },
    ),
    "remove_xattr": (2, {"caller": caller, "path": path, "name": attribute, "follow": flag}),
    "get_xattrs": (
        1,
        {
            "caller": caller,
            "path": path,
            "names": one_of(None, [], ["user.a"], ["user.b", "trusted.t"]),
            "follow": flag,
        },
    ),
    "set_quota": (2, {"path": path, "limited": one_of(True, True, True, False)}),
    "stat": (3, {"caller": caller, "path": path, "follow": flag}),
    "stat_many": (1, {"caller": caller, "paths": many(path, 6), "follow": flag}),
    "read_many": (1, {"caller": caller, "paths": many(path, 6)}),
    "read": (2, {"caller": caller, "path": path}),
    "readlink": (1, {"caller": caller, "path": path}),
    "listdir": (1, {"caller": caller, "path": path}),
    "access": (1, {"caller": caller, "path": path, "mask": one_of(*range(8))}),
    "path_of": (2, {"caller": caller, "choice": one_of(*range(100))}),
}


def draw_steps(seed: int, count: int) -> list[Step]:
    """The walk of a seed."""
    source = random.Random(seed)
    names, weights = list(RULES), [weight for weight, _ in RULES.values()]
    chosen = source.choices(names, weights, k=count)
    return [(name, {key: draw(source) for key, draw in RULES[name][1].items()}) for name in chosen]


def fewer_steps(steps: list[Step], fails: Callable[[list[Step]], bool]) -> list[Step]:
    """The steps without those that a failure does not need (Zeller's delta debugging, one direction)."""
    size = len(steps) // 2
    while size:
        start = 0
        while start < len(steps):
            shorter = steps[:start] + steps[start + size :]
            if fails(shorter):
                steps = shorter
            else:
                start += size
        size //= 2
    return steps
