"""Who asks: groups from /proc, remembered for a while."""

from __future__ import annotations

import os

from oastfs.fuse.callers import Callers, groups_of, user_name


def test_the_superuser_keeps_the_primary_group_only() -> None:
    caller = Callers().get(0, 55, os.getpid())
    assert (caller.uid, caller.gids) == (0, (55,))


def test_groups_come_from_the_process() -> None:
    assert set(groups_of(os.getpid())) == set(os.getgroups())
    caller = Callers().get(12_345, 77, os.getpid())
    assert caller.gid == 77
    assert set(caller.gids) == {77, *os.getgroups()}
    assert len(caller.gids) == len(set(caller.gids))


def test_a_process_that_is_gone_has_no_groups() -> None:
    assert groups_of(0) == ()
    assert groups_of(2**22 + 1) == ()
    assert Callers().get(12_345, 77, 2**22 + 1).gids == (77,)


def test_callers_are_remembered() -> None:
    callers = Callers()
    assert callers.get(12_345, 77, os.getpid()) is callers.get(12_345, 77, os.getpid())
    assert callers.get(0, 0, 1) is callers.get(0, 0, 2)


def test_names_of_users() -> None:
    assert user_name(0) == "root"
    assert user_name(987_654) == "987654"
