"""What is remembered of directories in which entries come and go."""

from __future__ import annotations

import stat

from oastfs.core.types import FileStatus
from oastfs.fuse.parents import Parents

SECOND_NS = 10**9


class Clock:
    def __init__(self) -> None:
        self.now_ns = 5

    def __call__(self) -> int:
        return self.now_ns


def directory(ctime_ns: int, nlink: int = 2) -> FileStatus:
    return FileStatus(7, stat.S_IFDIR | 0o755, 0, 0, 0, nlink, 0, ctime_ns, ctime_ns, 0, 0, 0, 1, "directory")


def test_believed_for_the_cache_time_from_when_it_was_asked() -> None:
    clock = Clock()
    parents = Parents(1.0, clock)
    assert parents.get(7) is None
    asked = parents.ask(7)
    clock.now_ns += SECOND_NS // 4
    parents.answered(asked, directory(1))
    assert parents.get(7) == (directory(1), SECOND_NS * 3 // 4)
    clock.now_ns += SECOND_NS * 3 // 4
    assert parents.get(7) is None


def test_changes_are_added_to_what_is_known() -> None:
    parents = Parents(1.0, Clock())
    parents.answered(parents.ask(7), directory(10))
    parents.changed(7, 30)
    parents.changed(7, 20)
    assert parents.get(7) == (directory(30), SECOND_NS)
    parents.changed(7, 40, 1)
    assert parents.get(7) == (directory(40, nlink=3), SECOND_NS)


def test_an_answer_older_than_a_change_is_brought_up_to_date() -> None:
    parents = Parents(1.0, Clock())
    asked = parents.ask(7)
    parents.changed(7, 30)
    parents.answered(asked, directory(10))
    assert parents.get(7) == (directory(30), SECOND_NS)


def test_an_answer_that_may_be_older_than_a_subdirectory_is_not_kept() -> None:
    parents = Parents(1.0, Clock())
    asked = parents.ask(7)
    parents.changed(7, 30, 1)
    parents.answered(asked, directory(10))
    assert parents.get(7) is None
    asked = parents.ask(7)
    parents.drop(7)
    parents.answered(asked, directory(10))
    assert parents.get(7) is None


def test_what_was_dropped_is_asked_for() -> None:
    parents = Parents(1.0, Clock())
    parents.answered(parents.ask(7), directory(10))
    parents.changed(7, 30)
    parents.drop(7)
    assert parents.get(7) is None
    parents.answered(parents.ask(7), directory(20))  # utimes set an older time
    assert parents.get(7) == (directory(20), SECOND_NS)


def test_without_a_cache_time_nothing_is_believed() -> None:
    parents = Parents(0.0, Clock())
    parents.answered(parents.ask(7), directory(10))
    assert parents.get(7) is None
