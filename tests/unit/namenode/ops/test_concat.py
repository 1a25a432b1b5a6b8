from __future__ import annotations

import pytest

from oastfs.core.errors import InvalidArgument, LeaseConflict, PermissionDenied, Unsupported
from oastfs.namenode.namespace import Namespace
from tests.harness.fleet import Fleet
from tests.unit.namenode.conftest import ALICE, BOB, ROOT, names
from tests.unit.namenode.ops.test_truncate import extents, write


def test_blocks_change_their_file(namespace: Namespace, fleet: Fleet) -> None:
    write(namespace, fleet, "/a", [4096, 100])
    write(namespace, fleet, "/b", [4096])
    write(namespace, fleet, "/c", [10])
    before = {block.block_id for path in ("/a", "/b", "/c") for block in namespace.open(ROOT, path).blocks}
    assert namespace.concat(ROOT, "/a", ["/b", "/c"]).length == 8302
    assert extents(namespace, "/a") == [(0, 4096), (4096, 100), (4196, 4096), (8292, 10)]
    assert {block.block_id for block in namespace.open(ROOT, "/a").blocks} == before
    assert names(namespace, "/") == ["a", "home", "tmp"]
    assert fleet.carry_out_all() == 0


def test_inline_content_is_joined(namespace: Namespace) -> None:
    for name in "abc":
        namespace.write_file(ROOT, f"/{name}", name.encode() * 100)
    namespace.concat(ROOT, "/a", ["/c", "/b"])
    assert namespace.open(ROOT, "/a").data == b"a" * 100 + b"c" * 100 + b"b" * 100
    assert names(namespace, "/") == ["a", "home", "tmp"]


def test_what_is_refused_changes_nothing(namespace: Namespace, fleet: Fleet) -> None:
    write(namespace, fleet, "/blocks", [100])
    namespace.write_file(ALICE, "/home/alice/f", b"x")
    namespace.write_file(ROOT, "/inline", b"x" * 600)
    namespace.write_file(ROOT, "/inline2", b"x" * 600)
    namespace.create(ROOT, "/open", holder="w")
    for path, sources, error in (
        ("/inline", [], InvalidArgument),
        ("/inline", ["/inline"], InvalidArgument),
        ("/inline", ["/inline2", "/inline2"], InvalidArgument),
        ("/inline", ["/blocks"], Unsupported),
        ("/blocks", ["/inline"], Unsupported),
        ("/inline", ["/inline2"], Unsupported),
        ("/inline", ["/open"], LeaseConflict),
        ("/open", ["/inline"], LeaseConflict),
    ):
        with pytest.raises(error):
            namespace.concat(ROOT, path, sources)
    with pytest.raises(PermissionDenied):
        namespace.concat(BOB, "/home/alice/f", ["/inline"])
    assert names(namespace, "/") == ["blocks", "home", "inline", "inline2", "open", "tmp"]
