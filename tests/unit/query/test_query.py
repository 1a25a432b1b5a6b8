"""Queries see what a walk of the tree sees, on every kind of store, and load no more than they need."""

from __future__ import annotations

import datetime
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oastfs.cli.stores import FormatRequest, format_new
from oastfs.client import Filesystem, connect
from oastfs.core.errors import InvalidArgument
from oastfs.core.types import SUPERUSER, FileStatus
from oastfs.namenode.fsck import check
from oastfs.query import Query
from oastfs.query.catalog import VIEWS
from oastfs.query.sources import SOURCES, fields
from oastfs.store import open_store
from oastfs.store.schema import BLOCK, REPLICA, Block, Replica
from oastfs.store.transaction import Store
from tests.harness.everything import OPEN_HOLDER, make_everything

PAGE = Path(__file__).resolve().parents[3] / "docs" / "query.md"


@pytest.fixture(scope="module", params=["lmdb", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A store with something of everything in it."""
    if request.param == "lmdb":
        found = f"lmdb://{tmp_path_factory.mktemp('query')}/store"
    else:
        server = request.getfixturevalue("postgresql")
        found = server.url(server.create_database())
    format_new([found], FormatRequest(replication=1, inline_limit=None, block_size=None))
    with connect(found, caller=SUPERUSER) as fs:
        make_everything(fs)
    yield found


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = open_store(url)
    yield opened
    assert check(opened).clean
    opened.close()


@pytest.fixture
def fs(url: str) -> Iterator[Filesystem]:
    with connect(url, caller=SUPERUSER) as found:
        yield found


def ask(store: Store, sql: str) -> list[tuple[Any, ...]]:
    with Query(store) as query:
        return list(query.run(sql).rows)


def walked(fs: Filesystem) -> dict[str, FileStatus]:
    found = {"/": fs.stat("/")}
    for directory, directories, others in fs.walk("/"):
        for status in [*directories, *others]:
            found[f"{directory.rstrip('/')}/{status.name}"] = status
    return found


def test_entries_are_those_of_a_walk(store: Store, fs: Filesystem) -> None:
    columns = "path, name, size, mode, uid, gid, links, inode_id, inline, acl, xattrs, open, parent_id, mtime"
    rows = {row[0]: row[1:] for row in ask(store, f"select {columns} from entries")}
    epoch = datetime.datetime(1970, 1, 1)
    expected = {}
    for path, status in walked(fs).items():
        expected[path] = (
            path.rpartition("/")[2],
            status.length,
            f"{stat.S_IMODE(status.mode):04o}",
            status.uid,
            status.gid,
            status.nlink,
            status.inode_id,
            status.is_inline,
            status.has_acl,
            bool(status.flags & 4),
            bool(status.flags & 16),
            rows[path][11],
            epoch + datetime.timedelta(microseconds=status.mtime_ns // 1000),
        )
    assert rows == expected
    assert len(rows) > 30


def test_files_are_regular_files(store: Store, fs: Filesystem) -> None:
    files = {path for path, status in walked(fs).items() if status.is_file}
    assert {path for (path,) in ask(store, "select path from files")} == files
    assert ask(store, "select count(*) from files") == [(len(files),)]
    kinds = dict(ask(store, "select path, kind from entries where kind <> 'file'"))
    assert kinds["/fifo"] == "fifo"
    assert kinds["/device"] == "character device"
    assert kinds["/to nowhere"] == "symlink"


def test_totals_of_directories_are_those_of_the_filesystem(store: Store, fs: Filesystem) -> None:
    columns = (
        "path, total_files, total_directories, total_size, total_space, files, directories, depth, owner"
    )
    rows = ask(store, f"select {columns} from directories")
    assert {row[0] for row in rows} == {path for path, s in walked(fs).items() if s.is_directory}
    for path, files, directories, size, space, own_files, own_directories, depth, _ in rows:
        summary = fs.content_summary(path)
        links = sum(s.is_symlink for p, s in walked(fs).items() if p.startswith(f"{path.rstrip('/')}/"))
        assert (summary.file_count, summary.directory_count) == (files, directories + 1), path
        assert summary.length - size in (0, 15 * links), path  # the target of /to nowhere
        assert space == size
        entries = list(fs.listdir(path))
        assert own_directories == sum(entry.is_directory for entry in entries)
        assert own_files == len(entries) - own_directories
        assert depth == (0 if path == "/" else path.count("/"))
    assert {row[0]: row[-1] for row in rows}["/governed/below"] == "Ångström"


def test_other_tables(store: Store) -> None:
    joined = "select path, holder, exclusive from open_files join files using (inode_id)"
    assert ask(store, joined) == [("/being written", OPEN_HOLDER, True)]
    names = dict(ask(store, "select x.name, value from xattrs x join files using (inode_id)"))
    assert names["user.\u00e9"] == b"\0\xff\\\n"
    quotas = "select path, q.names_max, q.space_max from quotas q join directories using (inode_id)"
    assert ask(store, f"{quotas} where path = '/governed'") == [("/governed", 100, 1 << 30)]
    assert ask(store, "select count(*) from datanodes") == [(0,)]


def test_blocks_and_replicas(tmp_path: Path) -> None:
    """Rows by hand: there is no datanode here."""
    store = open_store(f"lmdb://{tmp_path}/store", create=True)
    store.close()
    url = f"lmdb://{tmp_path}/formatted"
    format_new([url], FormatRequest(replication=2, inline_limit=None, block_size=None))
    store = open_store(url)
    store.load(BLOCK, [((5000, 0), Block(7, 100, 3)), ((5000, 100), Block(8, 50, 4))])
    store.load(
        REPLICA,
        [((7, 1), Replica(3)), ((7, 2), Replica(2)), ((7, 3), Replica(3, True)), ((7, 4), Replica(4))],
    )
    rows = ask(store, "select block_id, inode_id, file_offset, size, replicas from blocks order by 1")
    assert rows == [(7, 5000, 0, 100, 2), (8, 5000, 100, 50, 0)]
    assert ask(store, "select count(*) from replicas where corrupt") == [(1,)]
    assert ask(store, "select max(storage_id), any_value(datanode_id) from replicas") == [(4, None)]
    store.close()


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select count(*) from files", {"files": set()}),
        ("select sum(size) from files where owner = 'x'", {"files": {"size", "owner"}}),
        ("with f as (select * from files) select name from f", {"files": {"name"}}),
        ("select 1 where exists (select 1 from blocks where size = 3)", {"blocks": {"size"}}),
        (
            "select path from files where size > (select avg(total_size) from directories)",
            {"files": {"path", "size"}, "directories": {"total_size"}},
        ),
        ("select 42", {}),
        ("describe files", {}),
        ("pivot quotas on names using count(*)", {"quotas": {c.name for c in VIEWS["quotas"].columns}}),
    ],
)
def test_only_what_is_needed_is_loaded(store: Store, sql: str, expected: dict[str, set[str]]) -> None:
    with Query(store) as query:
        import duckdb

        assert query.needs(duckdb.extract_statements(sql)) == expected


def test_every_column_of_every_table_can_be_asked_for(store: Store) -> None:
    for view in VIEWS.values():
        with Query(store) as query:
            result = query.run(f"select * from {view.name}")
            assert result.names == [column.name for column in view.columns]
            list(result.rows)
        for column in view.columns:
            assert column.meaning, f"{view.name}.{column.name} is not explained"


def test_expressions_speak_of_columns_that_sources_have() -> None:
    for view in VIEWS.values():
        assert view.source in SOURCES
        everything = {column.name for column in view.columns}
        own = {name for alias, name in view.aliased(everything) if alias == "e"}
        assert own <= set(fields(view.source)), view.name


@pytest.mark.parametrize("sql", ["selec 1", "select nothing from files", "select * from nowhere", "", ";"])
def test_what_is_no_query_is_refused(store: Store, sql: str) -> None:
    with pytest.raises(InvalidArgument), Query(store) as query:
        query.run(sql)


def test_several_statements_and_several_uses(store: Store) -> None:
    assert ask(store, "set threads = 1; select 1; select count(*) > 5 from files") == [(True,)]
    doubled = "select count(*) from files a join files b on a.path = b.path"
    assert ask(store, doubled) == ask(store, "select count(*) from files")


def test_the_examples_of_the_documentation_run(store: Store) -> None:
    examples = re.findall(r"^```sql\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    assert len(examples) >= 10
    found = [ask(store, example) for example in examples]
    assert found[0][0][0] == "/", "the biggest directory is the root"
    assert [row[0] for row in found[1]] == ["this week"]
    assert found[2][0][0] is True
    assert found[2][0][3] == 100.0
    assert sum(row[1] for row in found[4]) == sum(row[1] for row in found[1])
