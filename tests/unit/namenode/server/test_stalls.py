from __future__ import annotations

import asyncio
import time

from oastfs.namenode.namespace import RETRY_WAIT_NS
from oastfs.namenode.server.stalls import StallWatch

_PAST_SECONDS = 1.2 * RETRY_WAIT_NS / 10**9


def _is_stalled(watch: StallWatch) -> bool:
    return watch.is_stalled(time.perf_counter_ns())


def test_a_process_that_is_idle_does_not_stand_still() -> None:
    async def idle() -> bool:
        watch = StallWatch()
        watch.watch(asyncio.get_running_loop())
        assert _is_stalled(watch), "a new process does not know what came before it"
        deadline = time.monotonic() + 30
        while _is_stalled(watch):
            assert time.monotonic() < deadline, "calls are still taken for old ones"
            await asyncio.sleep(0.05)
        # Other work on the machine may hold the loop up: what counts is that idling alone does not.
        for _ in range(20):
            await asyncio.sleep(_PAST_SECONDS)
            if not _is_stalled(watch):
                return True
        return False

    assert asyncio.run(idle())


def test_a_loop_that_is_held_up_stands_still() -> None:
    async def held_up() -> bool:
        watch = StallWatch()
        watch.watch(asyncio.get_running_loop())
        watch._stalled_until_ns = 0
        time.sleep(_PAST_SECONDS)
        await asyncio.sleep(0)
        return _is_stalled(watch)

    assert asyncio.run(held_up())


def test_calls_soon_after_a_stall_are_old_ones() -> None:
    watch = StallWatch()
    assert all(watch.is_stalled(10**10 + tenths * 10**8) for tenths in (0, 3, 6, 9))
    assert not watch.is_stalled(10**10 + 10**9)
    assert watch.is_stalled(10**10 + 10**9 + RETRY_WAIT_NS + 1)
