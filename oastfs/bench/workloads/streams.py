"""Large files, a few of each caller's, written and read from one end to the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from oastfs.bench.targets.base import PIECE_BYTES
from oastfs.bench.workloads.base import Operation, Part, Phase, PhaseKind, Workload
from oastfs.core.errors import InvalidArgument

GIB = 1 << 30
WRITE, READ = PhaseKind("stream-write", "bytes"), PhaseKind("stream-read", "bytes")


class Stream(Workload):
    """Writes, durable at each file's end, then reads; or one of the two."""

    def __init__(self, name: str, summary: str, phases: tuple[PhaseKind, ...]) -> None:
        self.name, self.summary, self.phases = name, summary, phases
        self.settings = {"count": 1, "size_bytes": GIB}

    def prepare(self, part: Part) -> Sequence[Phase]:
        count = int(part.settings["count"])
        size_bytes = int(part.settings["size_bytes"])
        if size_bytes % PIECE_BYTES:
            raise InvalidArgument("streams are made of whole pieces of 1 MiB")
        target, directory = part.target, part.directory
        target.make_directories([directory])

        def write(path: str) -> int:
            target.write_stream(path, size_bytes)
            return size_bytes

        def phase(kind: PhaseKind, act: Callable[[str], int]) -> Phase:
            return Phase(
                kind.name,
                lambda number: Operation(kind.name, partial(act, f"{directory}/stream{number % count}")),
                count,
            )

        if WRITE not in self.phases:
            for number in range(count):
                write(f"{directory}/stream{number}")
        made = {WRITE: phase(WRITE, write), READ: phase(READ, target.read_stream)}
        return [made[kind] for kind in self.phases]


STREAMS = (
    Stream("stream", "write large files, durable at the end, and read them", (WRITE, READ)),
    Stream("stream-write", "write a large file, durable at the end", (WRITE,)),
    Stream("stream-read", "read a large file", (READ,)),
)
