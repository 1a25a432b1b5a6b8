"""Trees of directories and files as ``mdtest`` makes them: for any target, and mounts above all.

Each caller has a tree of ``depth`` levels below its root, ``branch`` directories at each, and works on
``items`` directories and files in every one of them. What it stats and reads was made by the next caller
(as with mdtest's ``-N``), so that caches of the one who made it do not answer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial

from oastfs.bench.workloads.base import Operation, Part, Phase, PhaseKind, Workload

PHASES = tuple(
    PhaseKind(name)
    for name in (
        "tree-create",
        "dir-create",
        "dir-stat",
        "dir-remove",
        "file-create",
        "file-stat",
        "file-read",
        "file-remove",
        "tree-remove",
    )
)


class Trees(Workload):
    """The nine phases of ``mdtest``, in its order."""

    def __init__(self) -> None:
        self.name, self.summary = "mdtest", "trees of directories and files, as mdtest makes them"
        self.phases = PHASES
        self.settings = {"depth": 2, "branch": 4, "items": 40, "size_bytes": 0}

    def prepare(self, part: Part) -> Sequence[Phase]:
        settings, target = part.settings, part.target
        nodes = tree(settings["depth"], settings["branch"])
        own = part.directory
        others = f"caller{(part.number + 1) % part.callers}"
        items, data = settings["items"], os.urandom(settings["size_bytes"])
        target.make_directories([own])

        def item(root: str, kind: str, number: int) -> str:
            return f"{root}/{nodes[number // items]}/{kind}{number % items}"

        def phase(name: str, path: Callable[[int], str], act: Callable[[str], object], steps: int) -> Phase:
            def call(path: str) -> int:
                act(path)
                return 1

            return Phase(name, lambda number: Operation(name, partial(call, path(number))), steps)

        def write(path: str) -> None:
            target.write(path, data)

        def on(root: str, kind: str) -> Callable[[int], str]:
            return lambda number: item(root, kind, number)

        count = len(nodes) * items
        return [
            phase("tree-create", lambda number: f"{own}/{nodes[number]}", target.mkdir, len(nodes)),
            phase("dir-create", on(own, "d"), target.mkdir, count),
            phase("dir-stat", on(others, "d"), target.stat, count),
            phase("dir-remove", on(own, "d"), target.rmdir, count),
            phase("file-create", on(own, "f"), write, count),
            phase("file-stat", on(others, "f"), target.stat, count),
            phase("file-read", on(others, "f"), target.read, count),
            phase("file-remove", on(own, "f"), target.remove, count),
            phase("tree-remove", lambda number: f"{own}/{nodes[-1 - number]}", target.rmdir, len(nodes)),
        ]


def tree(depth: int, branch: int) -> list[str]:
    """Relative paths of a tree's directories, parents before children; the root is ``t``."""
    nodes = level = ["t"]
    for _ in range(depth):
        level = [f"{above}/t{number}" for above in level for number in range(branch)]
        nodes = nodes + level
    return nodes
