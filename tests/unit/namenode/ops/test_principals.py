"""Users and groups: names to numbers and back."""

from __future__ import annotations

import pytest

from oastfs.core.errors import InvalidArgument
from oastfs.namenode.namespace import Namespace
from tests.unit.namenode.conftest import EVE, ROOT


def test_system_names(namespace: Namespace) -> None:
    assert namespace.principal_ids(ROOT, ["root"], ["root"]) == ([0], [0])
    assert namespace.principal_names(ROOT, [0], [0]) == (["root"], ["root"])


def test_new_names_get_ids_for_good(namespace: Namespace) -> None:
    users, groups = namespace.principal_ids(EVE, ["spark", "hive", "spark"], ["spark"])
    assert users[0] == users[2] != users[1]
    assert users[0] >= 0x4000_0000
    assert namespace.principal_names(EVE, users[:2], groups) == (["spark", "hive"], ["spark"])
    assert namespace.principal_ids(EVE, ["spark"], []) == ([users[0]], [])


def test_digits(namespace: Namespace) -> None:
    assert namespace.principal_ids(ROOT, ["77777"], []) == ([77777], [])
    assert namespace.principal_names(ROOT, [77777], []) == (["77777"], [])


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 201])
def test_bad_names(namespace: Namespace, name: str) -> None:
    with pytest.raises(InvalidArgument):
        namespace.principal_ids(ROOT, [name], [])
