"""Operations as generators, carried out in the calling thread."""

from __future__ import annotations

import pytest

from oastfs.client.filesystem import Filesystem
from oastfs.core.errors import AlreadyExists, NotFound
from oastfs.core.types import SUPERUSER
from oastfs.fuse.effects import Change, Operation, Wait, run


def test_changes_and_waits_are_answered_in_order(filesystem: Filesystem) -> None:
    def operation() -> Operation[list[object]]:
        made = yield Change("mkdirs", SUPERUSER, "/dir", 0o755, False, False)
        waited = yield Wait(lambda: 42)
        return [made.name, waited]

    assert run(filesystem.metadata, operation()) == ["dir", 42]
    assert filesystem.isdir("/dir")


def test_errors_are_thrown_into_the_operation(filesystem: Filesystem) -> None:
    def operation() -> Operation[str]:
        filesystem.mkdir("/dir")
        try:
            yield Change("mkdirs", SUPERUSER, "/dir", 0o755, False, False)
        except AlreadyExists:
            return "there already"
        return "made"

    assert run(filesystem.metadata, operation()) == "there already"


def test_errors_that_it_does_not_expect_come_out(filesystem: Filesystem) -> None:
    def operation() -> Operation[None]:
        yield Change("rmdir", SUPERUSER, "/missing")

    with pytest.raises(NotFound):
        run(filesystem.metadata, operation())


def test_an_operation_without_waits(filesystem: Filesystem) -> None:
    def operation() -> Operation[int]:
        return 7
        yield

    assert run(filesystem.metadata, operation()) == 7
