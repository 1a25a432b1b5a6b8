"""The caller that this process is."""

from __future__ import annotations

import os

from oastfs.client.identity import current_caller, user_name


def test_the_primary_group_is_first_and_none_is_double() -> None:
    caller = current_caller()
    assert caller.uid == os.geteuid()
    assert caller.gid == os.getegid()
    assert set(caller.gids) == {os.getegid(), *os.getgroups()}
    assert len(caller.gids) == len(set(caller.gids))


def test_names() -> None:
    assert user_name(0) == "root"
    assert user_name(3_999_999_999) == "3999999999"
