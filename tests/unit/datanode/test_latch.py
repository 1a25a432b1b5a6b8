"""An event that happens once."""

from __future__ import annotations

import threading

from oastfs.datanode.latch import Latch
from tests.harness.waiting import wait_until


def test_nobody_waits() -> None:
    latch = Latch()
    assert not latch.is_set() and not latch.wait(0.0)
    latch.set()
    latch.set()
    assert latch.is_set() and latch.wait(0.0)


def test_all_who_wait_go_on() -> None:
    latch = Latch()
    waited: list[bool] = []
    threads = [threading.Thread(target=lambda: waited.append(latch.wait(30))) for _ in range(5)]
    for thread in threads:
        thread.start()
    assert not waited
    latch.set()
    wait_until(lambda: waited == [True] * 5, "all to go on")
    for thread in threads:
        thread.join()
