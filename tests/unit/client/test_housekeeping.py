"""What looks after files that are open for writing."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from oastfs.client import housekeeping
from oastfs.core.errors import Unreachable
from tests.harness.waiting import wait_until

if TYPE_CHECKING:
    from oastfs.client import Filesystem


def test_an_outage_is_told_of_once(
    filesystem: Filesystem, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(housekeeping, "TICK_SECONDS", 0.01)
    monkeypatch.setattr(housekeeping, "RENEWAL_SECONDS", 0.0)
    session, metadata = filesystem.session, filesystem.metadata
    renew = metadata.renew_lease
    away, tried = True, 0

    def renew_if_there(*arguments: Any) -> None:
        nonlocal tried
        tried += 1
        if away:
            raise Unreachable("no namenode answers")
        renew(*arguments)

    monkeypatch.setattr(metadata, "renew_lease", renew_if_there)

    def told() -> list[str]:
        return [line.getMessage() for line in caplog.records if line.name == housekeeping.__name__]

    with caplog.at_level(logging.INFO):
        holder = session.take_holder()
        wait_until(lambda: tried >= 5, "the lease is tried to be renewed five times", 20)
        assert len(told()) == 1
        assert "could not be renewed" in told()[0]
        away = False
        wait_until(lambda: len(told()) > 1, "the lease is renewed again", 20)
        assert "renewed again" in told()[1]
        before = tried
        wait_until(lambda: tried >= before + 5, "more renewals", 20)
        assert len(told()) == 2
        session.give_holder(holder)
