"""What a loop kept is there after its process, however that ended."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.store.lmdb_driver.stores import opened, value

KEEPER = """
import asyncio, os, sys
from oastfs.store import open_store
from oastfs.store.lmdb_driver import committer
from tests.unit.store.lmdb_driver.test_kept import change, is_kept
committer.KEPT_SECONDS = 1e6
async def main():
    store = open_store("lmdb://{path}", create=True)
    store.attend(asyncio.get_running_loop())
    for number in range(1, {count} + 1):
        assert await change(store) == number
        print(number, is_kept(store), flush=True)
    {end}
asyncio.run(main())
"""


@pytest.mark.parametrize("count", [1, 7, 200])
def test_a_killed_process_loses_nothing(tmp_path: Path, count: int) -> None:
    program = KEEPER.format(path=tmp_path, count=count, end="await asyncio.sleep(60)")
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().split() for _ in range(count)]
        process.send_signal(signal.SIGKILL)
    assert lines[-1][0] == str(count)
    assert count == 1 or any(line[1] == "True" for line in lines), "nothing was kept"
    store = opened(tmp_path)
    assert value(store) == count
    store.close()


@pytest.mark.parametrize("end", ["await asyncio.to_thread(store.close)", "store.close()", "pass"])
def test_a_process_that_ends_leaves_everything(tmp_path: Path, end: str) -> None:
    program = KEEPER.format(path=tmp_path, count=20, end=end)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and not done.stderr
    store = opened(tmp_path)
    assert value(store) == 20
    store.close()


def test_a_loop_that_ends_too_early_is_told_of(tmp_path: Path) -> None:
    program = f"""
import asyncio, os, threading
from oastfs.core.errors import StoreError
from oastfs.store import open_store
from oastfs.store.lmdb_driver import committer
from tests.contract.rows import increment
from tests.unit.store.lmdb_driver.test_kept import change, is_kept, value
committer.KEPT_SECONDS = 1e6
store = open_store("lmdb://{tmp_path}", create=True)
async def main():
    store.attend(asyncio.get_running_loop())
    while not is_kept(store):
        await change(store)
    await change(store)
thread = threading.Thread(target=lambda: asyncio.run(main()))
thread.start()
thread.join()
for use in (lambda: store.write(increment), lambda: value(store), store.close):
    try:
        use()
    except StoreError as error:
        assert "event loop ended" in str(error)
    else:
        os._exit(1)
os._exit(9)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 9, done.stderr
    store = opened(tmp_path)
    assert value(store) >= 2
    store.close()
