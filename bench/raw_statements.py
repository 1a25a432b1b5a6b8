"""What a namenode on PostgreSQL costs against its own statements, issued raw.

    python -m bench.raw_statements postgresql+psycopg2://USER@HOST/DATABASE [--callers 2] [--rounds 3]
        [--reads 1000] [--changes 300] [--also TREE]

The user must be allowed to make databases; those that are made here are removed again, and DATABASE is left
alone. What a namenode sends for each operation is recorded on one copy of a store, and sent on another by
callers that do nothing else: psycopg 2, prepared statements, one process and one connection each. The same
operations go through a namenode on a third copy, from as many processes with an ``oastfs://`` client. Both
take turns in short pieces, so that whatever else the machine does meets both; with ``--also``, the namenode
of another version does, too. Figures are medians of the rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import psycopg2
import sqlalchemy as sa

from oastfs.bench.processes import cpu_seconds
from oastfs.bench.servers import Namenodes
from oastfs.client import connect
from oastfs.core.metadata import Metadata
from oastfs.core.types import SUPERUSER
from oastfs.namenode.filesystem import FormatOptions, format_store
from oastfs.namenode.namespace import Namespace
from oastfs.store import open_store
from oastfs.store.sql_driver.connecting import SETTINGS
from oastfs.store.sql_driver.session import READ, WRITE, Session
from oastfs.store.sql_driver.statements import Statement

READS = ("stat", "read")
CHANGES = ("create", "rename", "remove")
FILES = 64
CONTENT = b"x" * 4096
WARM_UP_MAX = 100
ROOT = SUPERUSER

Call = Callable[[Metadata, int], Any]


class Command(NamedTuple):
    """What was sent in one trip, without what ends the transaction before."""

    text: str
    arguments: tuple[Any, ...]
    leaves_open: bool


class Script(NamedTuple):
    """What one caller sends: for each operation the commands of its n-th time, and what is prepared first."""

    prepares: dict[str, str]
    operations: dict[str, list[list[Command]]]


def calls_of(caller: int) -> dict[str, Call]:
    """The operations of one caller, in a directory of its own."""
    home = f"/bench/raw/callers/{caller}"
    return {
        "stat": lambda fs, number: fs.stat(ROOT, f"{home}/file{number % FILES}"),
        "read": lambda fs, number: fs.open(ROOT, f"{home}/file{number % FILES}", 0, 1 << 20),
        "create": lambda fs, number: fs.write_file(ROOT, f"{home}/new{number}", CONTENT),
        "rename": lambda fs, number: fs.rename(ROOT, f"{home}/new{number}", f"{home}/old{number}"),
        "remove": lambda fs, number: fs.unlink(ROOT, f"{home}/old{number}"),
    }


# --- databases ------------------------------------------------------------------------------------


class Databases:
    """Copies of one store on one server, removed at the end."""

    def __init__(self, url: str) -> None:
        self._url = sa.make_url(url)
        self._names: list[str] = []

    def url(self, name: str) -> str:
        return self._url.set(database=name).render_as_string(hide_password=False)

    def make(self, template: str = "template1") -> str:
        name = f"oastfs_raw_{os.getpid()}_{len(self._names)}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        self._names.append(name)
        return name

    def remove(self) -> None:
        for name in self._names:
            self._execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def server_pids(self) -> list[int]:
        """Of all the server's processes, if it is on this machine."""
        data = str(self._execute("SHOW data_directory"))
        try:
            postmaster = (Path(data) / "postmaster.pid").read_text().split()[0]
            return [int(postmaster), *_children(int(postmaster))]
        except OSError:
            return []

    def _execute(self, statement: str) -> Any:
        connection = psycopg2.connect(**connect_arguments(str(self._url)))
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchone()[0] if cursor.description else None
        finally:
            connection.close()


def connect_arguments(url: str) -> dict[str, Any]:
    """As psycopg 2 takes them."""
    parsed = sa.make_url(url)
    named = parsed.translate_connect_args(username="user", database="dbname")
    return {**named, **parsed.query}


def _children(pid: int) -> list[int]:
    found = []
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            with contextlib.suppress(OSError):
                if int((directory / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                    found.append(int(directory.name))
    return found


# --- recording ------------------------------------------------------------------------------------


def prepare(url: str, callers: int) -> None:
    """A store with each caller's directory and files."""
    store = open_store(url, create=True)
    format_store(store, FormatOptions())
    fs = Namespace(store)
    for caller in range(callers):
        fs.mkdirs(ROOT, f"/bench/raw/callers/{caller}", 0o755, True, True)
        for number in range(FILES):
            fs.write_file(ROOT, f"/bench/raw/callers/{caller}/file{number}", CONTENT)
    store.close()


def record(url: str, callers: int, changes: int) -> list[Script]:
    """What a namenode sends for the callers' operations, once it has seen their paths."""
    store = open_store(url)
    scripts = []
    with _recorded() as sent:
        for caller in range(callers):
            fs, script = Namespace(store), Script({}, {})
            calls = calls_of(caller)
            _warm_up(fs, calls, sent)
            for operation in (*READS, *CHANGES):
                of_operation = script.operations[operation] = []
                for number in range(FILES if operation in READS else changes):
                    del sent[:]
                    calls[operation](fs, number)
                    for used, _ in sent:
                        script.prepares.update({one.name: one.prepare for one in used})
                    of_operation.append([command for _, command in sent])
            scripts.append(script)
    store.close()
    return scripts


def _warm_up(fs: Namespace, calls: dict[str, Call], sent: list[tuple[list[Statement], Command]]) -> None:
    """Have paths seen, and ids at hand as in a namenode that has run for a while."""
    for number in range(FILES):
        calls["read"](fs, number)
    for number in range(1, WARM_UP_MAX):
        del sent[:]
        calls["create"](fs, -number)
        if not any("counter" in command.text for _, command in sent):
            return
        time.sleep(0.01)  # a batch of ids is on its way
    raise AssertionError("each operation takes its id from the counter")


@contextlib.contextmanager
def _recorded() -> Iterator[list[tuple[list[Statement], Command]]]:
    """All that this thread's sessions send meanwhile; others look after ids and such."""
    sent: list[tuple[list[Statement], Command]] = []
    me = threading.get_ident()
    start = Session._start

    def note(session: Session, used: Any, text: str, arguments: Any, committing: bool = False) -> None:
        begin = next((how for how in (READ, WRITE) if session._before.endswith(how)), "")
        command = Command(begin + text, tuple(arguments), not text.endswith("COMMIT"))
        if threading.get_ident() == me:
            sent.append((list(used.values()), command))
        start(session, used, text, arguments, committing)

    setattr(Session, "_start", note)  # noqa: B010 - to record what is sent
    try:
        yield sent
    finally:
        setattr(Session, "_start", start)  # noqa: B010 - as it was


# --- callers --------------------------------------------------------------------------------------


class RawCaller:
    """Sends what was recorded."""

    def __init__(self, url: str, script: Script) -> None:
        options = " ".join(f"-c {name}={value}" for name, value in SETTINGS.items())
        self._connection = psycopg2.connect(**connect_arguments(url), options=options)
        self._connection.autocommit = True
        self._cursor = self._connection.cursor()
        self._cursor.execute("".join(script.prepares.values()))
        self._script = script
        self._left_open = False

    def run(self, operation: str, first: int, count: int) -> None:
        recorded = self._script.operations[operation]
        execute, fetch = self._cursor.execute, self._cursor.fetchall
        for number in range(first, first + count):
            for command in recorded[number % len(recorded)]:
                begins = command.text.startswith("BEGIN")
                execute(
                    ("ROLLBACK; " if self._left_open and begins else "") + command.text, command.arguments
                )
                self._left_open = command.leaves_open
                if command.leaves_open:
                    fetch()


class NamenodeCaller:
    """Calls a namenode."""

    def __init__(self, url: str, caller: int) -> None:
        self._filesystem = connect(url)
        self._calls = calls_of(caller)
        self.run("read", 0, FILES)

    def run(self, operation: str, first: int, count: int) -> None:
        call, metadata = self._calls[operation], self._filesystem.metadata
        for number in range(first, first + count):
            call(metadata, number)


def _serve(pipe: Connection, make: Callable[[], RawCaller | NamenodeCaller]) -> None:
    """A caller's process: one answer (processor seconds) for each order."""
    caller = make()
    pipe.send(0.0)
    while (order := pipe.recv()) is not None:
        before = time.process_time()
        caller.run(*order)
        pipe.send(time.process_time() - before)


class Callers:
    """Processes that do the same at the same time, each in its own directory."""

    def __init__(self, makes: list[Callable[[], RawCaller | NamenodeCaller]]) -> None:
        self._pipes: list[Connection] = []
        context = multiprocessing.get_context("fork")
        for make in makes:
            ours, theirs = context.Pipe()
            context.Process(target=_serve, args=(theirs, make), daemon=True).start()
            theirs.close()
            self._pipes.append(ours)
        self._answers()

    def run(self, operation: str, first: int, count: int) -> tuple[float, float]:
        """Seconds, and processor seconds of the callers."""
        begun = time.perf_counter()
        for pipe in self._pipes:
            pipe.send((operation, first, count))
        used = self._answers()
        return time.perf_counter() - begun, used

    def __len__(self) -> int:
        return len(self._pipes)

    def _answers(self) -> float:
        return float(sum(pipe.recv() for pipe in self._pipes))

    def stop(self) -> None:
        for pipe in self._pipes:
            pipe.send(None)


# --- measuring ------------------------------------------------------------------------------------


class System(NamedTuple):
    """Who carries the operations out."""

    name: str
    callers: Callers
    pid: int
    """Of its namenode; 0: there is none."""


class Piece(NamedTuple):
    """Operations a second, and processor microseconds of each."""

    rate: float
    caller_us: float
    namenode_us: float
    postgresql_us: float


def measure(system: System, databases: Databases, operation: str, first: int, count: int) -> Piece:
    """One piece of the run; ``count`` operations of each caller."""
    server = {pid: cpu_seconds(pid) for pid in databases.server_pids()}
    namenode = cpu_seconds(system.pid) if system.pid else 0.0
    seconds, used = system.callers.run(operation, first, count)
    namenode = cpu_seconds(system.pid) - namenode if system.pid else 0.0
    spent = sum(cpu_seconds(pid) - server.get(pid, 0.0) for pid in databases.server_pids())
    total = count * len(system.callers)
    per_operation = [one / total * 1e6 for one in (used, namenode, spent)]
    return Piece(total / seconds, *per_operation)


def compare(
    systems: list[System], databases: Databases, options: argparse.Namespace
) -> dict[str, list[list[Piece]]]:
    """The rounds of each operation, and in each what every system did."""
    found: dict[str, list[list[Piece]]] = {}
    for round_number in range(options.rounds):
        for operation in (*READS, *CHANGES):
            count = options.reads if operation in READS else options.changes
            pieces = [measure(one, databases, operation, round_number * count, count) for one in systems]
            found.setdefault(operation, []).append(pieces)
    return found


def table(systems: list[System], found: dict[str, list[list[Piece]]]) -> str:
    """For people: the first system is what the others are compared with."""
    lines = [
        "| operation | who | /s | of raw | us: callers | namenode | PostgreSQL |",
        "|---|---|---|---|---|---|---|",
    ]
    for operation, rounds in found.items():
        for number, system in enumerate(systems):
            of_raw = statistics.median(pieces[number].rate / pieces[0].rate for pieces in rounds)
            columns = zip(*(pieces[number] for pieces in rounds), strict=True)
            rate, *costs = (statistics.median(column) for column in columns)
            shown = " | ".join(f"{cost:.0f}" for cost in costs)
            lines.append(f"| {operation} | {system.name} | {rate:,.0f} | {of_raw:.2f} | {shown} |")
    return "\n".join(lines)


@contextlib.contextmanager
def _through_namenode(name: str, tree: str, metadata: str, callers: int) -> Iterator[System]:
    """A namenode from this source tree, and who calls it."""
    here, before = Path.cwd(), os.environ.get("PYTHONPATH", "")
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        os.environ["PYTHONPATH"] = tree or before
        os.chdir(tree or here)
        try:
            (namenode,) = stack.enter_context(Namenodes(1, [metadata], Path(directory))).all
        finally:
            os.environ["PYTHONPATH"] = before
            os.chdir(here)
        url = f"oastfs://127.0.0.1:{namenode.port}"
        made = Callers([partial(NamenodeCaller, url, number) for number in range(callers)])
        stack.callback(made.stop)
        yield System(name, made, namenode.pid)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("url")
    parser.add_argument("--callers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--reads", type=int, default=1000, help="of each kind, of each caller in a round")
    parser.add_argument("--changes", type=int, default=300, help="of each kind, of each caller in a round")
    parser.add_argument("--also", default="", help="a source tree whose namenode takes its turns, too")
    options = parser.parse_args(arguments)
    databases = Databases(options.url)
    with contextlib.ExitStack() as stack:
        stack.callback(databases.remove)
        source = databases.make()
        prepare(databases.url(source), options.callers)
        recorded_on, raw_on = databases.make(source), databases.make(source)
        scripts = record(databases.url(recorded_on), options.callers, options.rounds * options.changes)
        raw = Callers([partial(RawCaller, databases.url(raw_on), script) for script in scripts])
        stack.callback(raw.stop)
        systems = [System("raw", raw, 0)]
        for name, tree in [("namenode", ""), *([(options.also, options.also)] if options.also else [])]:
            metadata = databases.url(databases.make(source))
            systems.append(stack.enter_context(_through_namenode(name, tree, metadata, options.callers)))
        found = compare(systems, databases, options)
    print(table(systems, found))


if __name__ == "__main__":
    main()
