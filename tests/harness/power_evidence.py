"""What workers on an embedded store say of what they do, for who takes the power away from them."""

from __future__ import annotations

import os
import random
import shutil
import signal
import struct
import time
from contextlib import suppress
from pathlib import Path

PAGE_BYTES = 4096
_COPIES = 8


class Evidence:
    """The directory in which workers say what they do."""

    def __init__(self, directory: Path, path: Path) -> None:
        """``path``: the store, which nobody has open."""
        self.directory = directory
        directory.mkdir(exist_ok=True)
        self.see(path)

    def see(self, path: Path) -> None:
        """What the files of the store hold is what the disk holds."""
        shutil.copyfile(path / "data.mdb", self.image)
        shutil.copyfile(path / "wal" / "checkpoint", self.checkpoint_image)

    def copied(self, directory: Path) -> Evidence:
        """The same in another place, for a copy of the store."""
        shutil.copytree(self.directory, directory, ignore=shutil.ignore_patterns("kept"))
        copy = Evidence.__new__(Evidence)
        copy.directory = directory
        return copy

    def keep(self, path: Path, what: str) -> None:
        """Keep the files of the store, to find out later what became of them; the last few of such copies."""
        kept = self.directory / "kept"
        kept.mkdir(exist_ok=True)
        copies = sorted(kept.iterdir())
        for old in copies[:-_COPIES]:
            shutil.rmtree(old)
        number = int(copies[-1].name.partition("-")[0]) + 1 if copies else 1
        shutil.copytree(path, kept / f"{number:06d}-{what}")

    def say(self, name: str, *words: object) -> None:
        """Append a line to a file. What was said survives the kill."""
        file = os.open(self.directory / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(file, (" ".join(map(str, words)) + "\n").encode())
        os.close(file)

    def lines(self, name: str) -> list[list[str]]:
        path = self.directory / name
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    def stacks(self) -> str:
        """What the threads of all workers are at, and whether they get to run at all."""
        told = [f"load: {Path('/proc/loadavg').read_text()}"]
        for path in sorted(self.directory.glob("stacks-*")):
            pid, _, _ = path.read_text().partition("\n")
            state = "gone"
            with suppress(ProcessLookupError, FileNotFoundError):
                status = Path(f"/proc/{int(pid)}/status").read_text().splitlines()
                state = next(line for line in status if line.startswith("State:"))
                os.kill(int(pid), signal.SIGUSR1)
                time.sleep(1)
            told.append(f"{path.name}: {state}\n{path.read_text()}")
        return "\n".join(told)

    @property
    def image(self) -> Path:
        """The data file as it was at its last sync."""
        return self.directory / "image"

    @property
    def checkpoint_image(self) -> Path:
        """The checkpoints as they were at their last sync."""
        return self.directory / "checkpoint-image"

    def resume(self, number: int) -> None:
        """Let a worker go on that waits at a point."""
        self.say(f"resume-{number}")


class Versions:
    """What a thread writes, by slot: counted up, said before and after."""

    def __init__(self, evidence: Evidence, number: int) -> None:
        self._evidence, self._number = evidence, number
        self._last = {slot: int(version) for slot, version in evidence.lines(f"begun-{number}")}

    def begin(self, slot: str) -> int:
        version = self._last[slot] = self._last.get(slot, 0) + 1
        self._evidence.say(f"begun-{self._number}", slot, version)
        return version

    def end(self, slot: str, version: int) -> None:
        self._evidence.say(f"acknowledged-{self._number}", slot, version)


def content(version: int) -> bytes:
    chance = random.Random(version)
    return struct.pack("<Q", version) + chance.randbytes(chance.choice((0, 100, 1000, 5000, 20_000)))


def keys(number: int, slot: str) -> list[tuple[int, str, int]]:
    return [(number, slot, 1), (number + 1000, slot, 2)]
