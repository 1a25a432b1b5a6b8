"""What is sent to a database whose tables have partitions in their keys: only what Citus takes.

Most machines that run tests have no Citus. So all statements of a store on Citus are recorded on plain
PostgreSQL, while the namespace does all sorts of things, and each is held to the rules that Citus has for
distributed tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from oastfs.core.errors import NotFound
from oastfs.core.types import SUPERUSER, RenameMode
from oastfs.namenode.filesystem import FormatOptions, format_store
from oastfs.namenode.jobs.reclaim import Reclaim
from oastfs.namenode.namespace import Namespace
from oastfs.store import open_store
from oastfs.store.schema import TABLES
from oastfs.store.sql_driver.citus import objects
from oastfs.store.sql_driver.citus import tables as citus
from oastfs.store.sql_driver.citus.store import CitusStore
from oastfs.store.sql_driver.layout import layouts
from oastfs.store.sql_driver.migrations import Declared
from oastfs.store.sql_driver.server import Server
from oastfs.store.sql_driver.session import Session
from tests.harness.postgresql import PostgresServer
from tests.unit.namenode.conftest import finish

ROOT = SUPERUSER
KEY_COLUMNS = {table.name: [name for name, _ in table.key] for table in TABLES}
PREPARE = re.compile(r"PREPARE (\w+)(?:\(.*?\))? AS (.*?); (?=PREPARE |EXECUTE |BEGIN|ROLLBACK|$)")
ALLOWED = re.compile(
    r"(ROLLBACK; )?(BEGIN ISOLATION LEVEL REPEATABLE READ( READ ONLY)?; )?(DEALLOCATE ALL; )?"
    r"(EXECUTE \w+(\(([%s, ]*|NULL|\d+::smallint|'\{[\d,]*\}')\))?(; )?)*(COMMIT)?"
)
WITHOUT_ROWS = {"hold", "look", "look_quiet", "look_frozen", "look_over", "looked"}
"""What concerns the coordinator only."""


class Recording:
    """Every command that sessions send, and what was prepared."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.commands: list[str] = []
        self.prepared: dict[str, str] = {}
        start = Session._start

        def record(session: Session, used: Any, text: str, arguments: Any, committing: bool = False) -> None:
            fresh = [used[name].prepare for name in used]
            for prepare in fresh:
                statements = list(PREPARE.finditer(prepare))
                assert "".join(one[0] for one in statements) == prepare
                self.prepared.update((one[1], one[2]) for one in statements)
            self.commands.append(session._before + text)
            start(session, used, text, arguments, committing)

        monkeypatch.setattr(Session, "_start", record)


@pytest.fixture
def recorded(postgresql: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recording]:
    recording = Recording(monkeypatch)
    name = postgresql.create_database()
    open_store(postgresql.url(name), create=True, partition_column=True).close()
    server = Server(postgresql.url(name), 10)
    server.ask(objects.make)
    server.learn(True, Declared(), stamped=True)
    store = CitusStore(server, 4)
    server.connections.greeting = ""  # the workers' recovery is Citus's
    format_store(store, FormatOptions(block_size=4096, replication=1, inline_limit=1024))
    do_all_sorts_of_things(Namespace(store))
    finish(store)
    store.close()
    yield recording
    postgresql.drop_database(name)


def do_all_sorts_of_things(fs: Namespace) -> None:
    for path in ("/a/b/c", "/d/e"):
        fs.mkdirs(ROOT, path, 0o755)
    for number in range(6):
        fs.write_file(ROOT, f"/a/b/file{number}", b"content")
    fs.stat_many(ROOT, [f"/a/b/file{number}" for number in range(6)])
    fs.stat_many(ROOT, ["/a/none", "/d/none"])
    with pytest.raises(NotFound):
        fs.stat(ROOT, "/a/b/none")
    fs.create(ROOT, "/d/created")
    fs.listdir(ROOT, "/a/b", "", 2)
    fs.rename(ROOT, "/a/b/file0", "/d/e/moved")
    fs.rename(ROOT, "/a/b", "/d/e/b")
    fs.rename(ROOT, "/d/e/b/file1", "/d/e/b/file2", RenameMode.EXCHANGE)
    fs.link(ROOT, "/d/e/moved", "/a/link")
    fs.unlink(ROOT, "/a/link")
    fs.set_xattr(ROOT, "/a", "user.x", b"1", True, True)
    fs.chmod(ROOT, "/a", 0o700)
    fs.symlink(ROOT, "/a/s", "target")
    fs.set_quota(ROOT, "/d", 1000, -1)
    fs.write_file(ROOT, "/d/counted", b"x")
    fs.truncate(ROOT, "/d/counted", 0)
    fs.delete(ROOT, "/d/e", True)
    fs.mkdirs(ROOT, "/a/none", 0o755)
    fs.rmdir(ROOT, "/a/none")
    Reclaim(fs).run_once(2**60)


def parts_of(body: str) -> list[str]:
    return body.split(" UNION ALL ")


def test_only_plain_transactions_are_used(recorded: Recording) -> None:
    assert len(recorded.commands) > 50
    for command in recorded.commands:
        assert ALLOWED.fullmatch(command), command
    assert not any("PREPARE TRANSACTION" in one or "SAVEPOINT" in one for one in recorded.commands)


def test_each_statement_names_one_table_and_its_partition(recorded: Recording) -> None:
    """Of a union, each part does. Scans that ask all partitions are those of an index or of a whole table."""
    assert len(recorded.prepared) > 30
    for name, body in recorded.prepared.items():
        if name in WITHOUT_ROWS:
            assert "oastfs." not in body.replace("oastfs.look(", "")
            continue
        for part in parts_of(body):
            tables = re.findall(r"oastfs\.\"?(\w+)\"?", part)
            assert len(set(tables)) == 1, body
            if name in ("look_at_all", "touch"):
                continue
            if name.startswith("scan_") and not re.match(r"scan_\w+_[1-9]\d*_\d+_\w+$", name):
                continue
            if any(name.startswith(f"scan_{index.name}_") for table in TABLES for index in table.indexes):
                continue
            if "unnest" in part:
                assert re.search(r"USING \([^)]*\bpartition\b[^)]*\)", part), part
            elif name == "look_at_some":
                assert "partition = ANY ($1)" in part
            elif part.startswith("INSERT"):
                assert re.search(r"\([^)]*\bpartition\b[^)]*\) VALUES", part), part
            else:
                assert re.search(r"WHERE .*\bpartition = \$\d", part), part


def test_locks_are_of_one_row(recorded: Recording) -> None:
    """FOR UPDATE or FOR SHARE that may span shards is refused."""
    for body in recorded.prepared.values():
        if re.search(r"\bFOR (UPDATE|SHARE)\b", body):
            (table,) = set(re.findall(r"oastfs\.\"?(\w+)\"?", body))
            for column in [*KEY_COLUMNS[table], "partition"]:
                assert re.search(rf"\b\"?{column}\"? = \$\d", body), body


def test_no_key_is_updated(recorded: Recording) -> None:
    """The distribution column cannot be; and an upsert's arbiter has it."""
    updates = 0
    for body in recorded.prepared.values():
        if match := re.search(r"\bSET (.*?)( WHERE |$)", body):
            updates += 1
            assert not re.search(r"\bpartition\b", match[1]), body
        if match := re.search(r"ON CONFLICT \((.*?)\)", body):
            assert re.search(r"\bpartition\b", match[1]), body
    assert updates > 5


def test_all_tables_are_distributed_by_partition_and_co_located() -> None:
    statements = citus.statements(list(layouts(partitioned=True).values()), "oastfs.inode")
    assert len(statements) == len(TABLES)
    assert "colocate_with => 'none'" in statements[0] and "oastfs.inode'" in statements[0]
    for statement in statements[1:]:
        assert statement.endswith("'partition', colocate_with => 'oastfs.inode')")


def test_all_kinds_of_looks_are_recorded(recorded: Recording) -> None:
    for kind in ("look_at", "look_at_some", "look_at_all"):
        assert any(f"EXECUTE {kind}(" in one or f"EXECUTE {kind};" in one for one in recorded.commands), kind
    stamped = [name for name, body in recorded.prepared.items() if "xmin" in body]
    assert any(name.startswith("get_") for name in stamped)
    assert any(name.startswith("batch_") for name in stamped)
