"""access: one class of permission bits decides."""

from __future__ import annotations

import pytest

from oastfs.core.errors import InvalidArgument, PermissionDenied
from oastfs.core.types import Caller
from oastfs.namenode.namespace import Namespace
from tests.unit.namenode.conftest import ALICE, BOB, EVE, ROOT


@pytest.mark.parametrize(
    ("mode", "caller", "granted"),
    [
        (0o741, ALICE, {1, 2, 4}),
        (0o741, BOB, {4}),
        (0o741, EVE, {1}),
        (0o077, ALICE, set()),  # the owner's class decides, even if others may more
        (0o707, BOB, set()),
        (0o700, ROOT, {1, 2, 4}),
        (0o600, ROOT, {2, 4}),  # nobody may execute it, so neither may the superuser
    ],
)
def test_classes(namespace: Namespace, mode: int, caller: Caller, granted: set[int]) -> None:
    namespace.write_file(ALICE, "/tmp/f", b"")
    namespace.chown(ALICE, "/tmp/f", -1, 2000)
    namespace.chmod(ALICE, "/tmp/f", mode)
    for mask in (1, 2, 4):
        if mask in granted:
            namespace.access(caller, "/tmp/f", mask)
        else:
            with pytest.raises(PermissionDenied):
                namespace.access(caller, "/tmp/f", mask)
    namespace.access(caller, "/tmp/f", 0)


def test_bad_mask(namespace: Namespace) -> None:
    with pytest.raises(InvalidArgument):
        namespace.access(ROOT, "/", 8)
