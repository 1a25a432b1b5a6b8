"""What the steps on a namespace are drawn from: users, paths, modes, contents."""

from __future__ import annotations

from hypothesis import strategies as st

from oastfs.core.errors import InvalidPath, NameTooLong, NotUtf8
from oastfs.core.types import Caller
from tests.property.posix_acls import Acl
from tests.property.posix_model import INLINE_LIMIT, SUPERGROUP

ROOT = Caller("root", 0, (0,))
CALLERS = [
    ROOT,
    ROOT,
    Caller("alice", 1001, (1001, 2000)),
    Caller("bob", 1002, (1002, 2000)),
    Caller("eve", 1003, (1003,)),
    Caller("admin", 1004, (1004, SUPERGROUP)),
]
NAMES = ["a", "b", "c", "é"]

# A path is drawn as a recipe, so that it hits what is there when the step comes.
names = st.sampled_from(NAMES)
recipes = st.one_of(
    st.tuples(st.just("existing"), st.integers(0, 30)),
    st.tuples(st.just("under"), st.integers(0, 30), names),
    st.tuples(st.just("under"), st.integers(0, 30), names),
    st.tuples(st.just("names"), st.lists(names, max_size=4).map(tuple)),
    st.tuples(st.just("id"), st.integers(0, 30)),
    st.tuples(st.just("id under"), st.integers(0, 30), names),
)
callers = st.sampled_from(CALLERS)
booleans = st.booleans()
modes = st.sampled_from(
    [0o755, 0o755, 0o777, 0o700, 0o1777, 0o2775, 0o750, 0o644, 0o4755, 0o6711, 0o070, 0o007, 0]
)
contents = st.one_of(st.binary(max_size=8), st.sampled_from([b"x" * INLINE_LIMIT, b"y" * (INLINE_LIMIT + 1)]))
lengths = st.sampled_from([0, 1, 5, 9, 100, INLINE_LIMIT, 3 * INLINE_LIMIT])
holders = st.sampled_from(["", "", "writer-1", "writer-2"])
writers = st.sampled_from(["writer-1", "writer-2"])
targets = st.one_of(
    st.sampled_from(
        [".", "..", "../..", "/", "/a/../b", "b/../../a", "a/./b", "../a/b", "/c//a", "no", "a/.."]
    ),
    names,
    st.tuples(names, names).map("/".join),
    st.tuples(names, names).map(lambda pair: "/" + "/".join(pair)),
)
attribute_names = st.sampled_from(
    ["user.a", "user.b", "user.c", "trusted.t", "security.s", "system.y", "other.x", "user."]
)
ids = st.sampled_from([-1, 0, 1001, 1002, 1003, 2000])
times = st.sampled_from([-1, 0, 1, 10**18 + 1])


@st.composite
def acls(draw: st.DrawFn, owner: tuple[int, ...] = tuple(range(8))) -> Acl:
    """An ACL, with a mask where it needs one and sometimes where not; the owner gets one of ``owner``."""
    bits = st.integers(0, 7)
    users = draw(st.dictionaries(st.sampled_from([1001, 1002, 1003, 1004]), bits, max_size=3))
    groups = draw(st.dictionaries(st.sampled_from([2000, 2001, 2002]), bits, max_size=3))
    needs_mask = bool(users or groups) or draw(st.booleans())
    mask = draw(bits) if needs_mask else None
    return Acl(draw(st.sampled_from(owner)), draw(bits), draw(bits), users, groups, mask)


default_acls = acls((3, 7))
"""Whoever makes several directories at once goes on in the first ones: owners may always do that."""
BAD_PATHS = [
    ("", InvalidPath),
    ("a", InvalidPath),
    ("/a/../b", InvalidPath),
    ("/./a", InvalidPath),
    ("/a//b", InvalidPath),
    ("/a/", InvalidPath),
    ("/a\0b", InvalidPath),
    ("/" + "n" * 256, NameTooLong),
    ("/" + "é" * 128, NameTooLong),
    ("/d" * 1001, NameTooLong),
    ("/\udc80", NotUtf8),
]
