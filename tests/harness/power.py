"""Power failures of the embedded store, as far as a process can bring them about.

A worker changes a store and keeps evidence: what it began and what was acknowledged, what of the log was
synced, and copies of the data file and of the checkpoints at each of their syncs (``power_worker.py``). It is
killed; then ``lose_power`` makes the files what a disk may hold after the lights went out: any page of the
data file that was written since its last sync may be there, old, or torn, in any combination, so may a
checkpoint, and what follows the last synced record of the log may be anything. The store must open with
everything that was acknowledged, and with nothing half.
"""

from __future__ import annotations

import random
import re
import struct
from collections import Counter
from pathlib import Path
from typing import Any

import lmdb.verify

from oastfs.client import connect
from oastfs.namenode.fsck import check
from oastfs.store import open_store
from oastfs.store.schema import RETRY
from oastfs.store.transaction import Store
from tests.harness.power_evidence import PAGE_BYTES, Evidence, content, keys

SECTOR_BYTES = 512
_SPARE_PAGES = re.compile(r"(.* DB): overflow page \d+ header mp_pages (\d+) != OVPAGES\(\d+\)=(\d+)")
_COUNTED_PAGES = re.compile(r"(.* DB): walked (\d+) overflow pages, record says (\d+)")
_UNREACHED_PAGES = re.compile(r"(\d+) page\(s\) are neither reachable nor in the freeDB")
_POWER_LOST = ["the", "power", "is", "lost"]


def lose_power(path: Path, evidence: Evidence, chance: random.Random) -> None:
    """Make the files of a store that nobody has open what the disk may hold."""
    evidence.keep(path, "as-it-was-killed")
    _lose_pages(path / "data.mdb", evidence.image, chance)
    _lose_log(path / "wal", evidence, chance)
    _lose_checkpoints(path / "wal" / "checkpoint", evidence.checkpoint_image, chance)
    evidence.see(path)
    evidence.keep(path, "as-the-power-left-it")
    for name in ("checkpoints", "synced"):
        evidence.say(name, *_POWER_LOST)


def _lose_pages(data: Path, image: Path, chance: random.Random) -> None:
    old, new = image.read_bytes(), data.read_bytes()
    lost = chance.choice((0.0, 0.1, 0.5, 0.9, 1.0))
    pages = []
    for at in range(0, len(new), PAGE_BYTES):
        before = old[at : at + PAGE_BYTES].ljust(PAGE_BYTES, b"\0")
        after = new[at : at + PAGE_BYTES]
        if chance.random() >= lost:
            pages.append(after)
        elif at >= 2 * PAGE_BYTES and chance.random() < 0.2:
            cut = chance.randrange(PAGE_BYTES // SECTOR_BYTES) * SECTOR_BYTES
            pages.append(after[:cut] + before[cut:])
        else:
            pages.append(before)
    kept = b"".join(pages)
    if chance.random() < 0.3:
        kept = kept[: chance.randrange(len(old), len(kept) + 1) // PAGE_BYTES * PAGE_BYTES]
    data.write_bytes(kept)


def _lose_log(directory: Path, evidence: Evidence, chance: random.Random) -> None:
    said = [line for line in evidence.lines("synced") if line != _POWER_LOST]
    synced = [(int(number), int(end)) for number, end, _ in said]
    number, end = max(synced, default=(0, 0))
    for path in directory.glob("*.log"):
        data = bytearray(path.read_bytes())
        if int(path.stem) < number:
            continue
        start = end if int(path.stem) == number else 0
        while start < len(data):
            stop = min((start // SECTOR_BYTES + 1) * SECTOR_BYTES, len(data))
            fate = chance.random()
            if fate < 0.3:
                data[start:stop] = bytes(stop - start)
            elif fate < 0.5:
                data[start:stop] = chance.randbytes(stop - start)
            start = stop
        path.write_bytes(data)


def _lose_checkpoints(path: Path, image: Path, chance: random.Random) -> None:
    """A slot that was written since the last sync may be there, be as it was before, or be torn."""
    old, new = image.read_bytes(), path.read_bytes()
    kept = []
    for at in range(0, len(new), PAGE_BYTES):
        before, after = old[at : at + PAGE_BYTES], new[at : at + PAGE_BYTES]
        torn = bytes(PAGE_BYTES) if chance.random() < 0.5 else chance.randbytes(PAGE_BYTES)
        kept.append(after if before == after else chance.choice((before, after, torn)))
    path.write_bytes(b"".join(kept))


# --- what must be there ---------------------------------------------------------------------------


def verify(path: Path, evidence: Evidence) -> int:
    """Open the store and check everything; the number of acknowledgements."""
    assert evidence.lines("failures") == []
    count = 0
    store = open_store(f"lmdb://{path}")
    try:
        with connect(f"lmdb://{path}") as fs:
            for journal_path in evidence.directory.glob("begun-*"):
                number = int(journal_path.name.partition("-")[2])
                count += _verify_worker(store, fs, evidence, number)
        check(store).raise_if_problems()
    finally:
        store.close()
    evidence.see(path)
    problems = amiss(lmdb.verify.verify(str(path)))
    assert problems == [], problems[:5]
    return count


def amiss(problems: list[str]) -> list[str]:
    """What LMDB's checker found, without what it does not know: a long value that was made shorter in the
    transaction that had put it keeps all its pages (``mdb_cursor_put``), which their header counts."""
    spare = Counter[str]()
    for found in filter(None, map(_SPARE_PAGES.match, problems)):
        spare[found[1]] += int(found[2]) - int(found[3])
    rest = []
    for text in problems:
        counted, unreached = _COUNTED_PAGES.match(text), _UNREACHED_PAGES.match(text)
        if counted and int(counted[3]) - int(counted[2]) == spare[counted[1]]:
            continue
        if unreached and int(unreached[1]) == spare.total():
            continue
        if not _SPARE_PAGES.match(text):
            rest.append(text)
    return rest


def _verify_worker(store: Store, fs: Any, evidence: Evidence, number: int) -> int:
    begun: dict[str, int] = {}
    acknowledged: dict[str, int] = {}
    for name, found in (("begun", begun), ("acknowledged", acknowledged)):
        for slot, version in evidence.lines(f"{name}-{number}"):
            found[slot] = int(version)
    for slot, last in begun.items():
        # More than one without an answer: there were several failures since the last.
        allowed = range(acknowledged.get(slot, 0), last + 1)
        actual = _read_rows(store, number, slot) if slot.startswith("rows") else _read_file(fs, number, slot)
        states = {0 if version % 5 == 0 else version for version in allowed}
        assert actual in states, f"worker {number}, {slot}: {actual}, not of {allowed}"
        # From here on this is what is known to be there; a removed one goes by its number.
        settled = next(version for version in allowed if (0 if version % 5 == 0 else version) == actual)
        evidence.say(f"acknowledged-{number}", slot, settled)
    return len(evidence.lines(f"acknowledged-{number}"))


def _read_rows(store: Store, number: int, slot: str) -> int:
    one, other = store.read(lambda tx: tx.get_many(RETRY, keys(number, slot)))
    assert one == other, f"{slot}: half of a change"
    return 0 if one is None else _version(one.response)


def _read_file(fs: Any, number: int, slot: str) -> int:
    target = f"/worker-{number}-{slot}"
    return _version(fs.read_bytes(target)) if fs.exists(target) else 0


def _version(data: bytes) -> int:
    version = int(struct.unpack("<Q", data[:8])[0])
    assert data == content(version), "torn content"
    return version
