"""Real PostgreSQL servers for tests: made from Debian's packages, on a loopback port, stopped by their pid.

The server refuses to run as root, so root starts it as another user. Each test gets a database of its own,
copied from an empty one.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tests.harness import reaper
from tests.harness.logs import tail
from tests.harness.ports import free_port
from tests.harness.waiting import wait_until

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin")) if Path("/usr/lib/postgresql").is_dir() else []
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "300",
    "max_prepared_transactions": "50",
    "shared_buffers": "64MB",
    "fsync": "on",
    "deadlock_timeout": "100ms",
    "autovacuum_naptime": "10s",
}


class PostgresServer:
    """One cluster in a directory of its own. ``start`` may be called again after ``stop`` or ``kill``."""

    def __init__(self, settings: dict[str, str] | None = None) -> None:
        self._settings = {**_SETTINGS, **(settings or {})}
        if not BINARIES:
            raise AssertionError("PostgreSQL is missing: run scripts/setup_debian.sh test")
        self._binaries = BINARIES[-1]
        # Not below pytest's directory, which is closed to the user that the server runs as.
        self._directory = Path(tempfile.mkdtemp(prefix="oastfs-postgresql-", dir=_place()))
        reaper.remove_at_end(self._directory)
        self._user = _user()
        if self._user is not None:
            os.chown(self._directory, self._user.pw_uid, self._user.pw_gid)
        self.port = free_port()
        self._numbers = itertools.count(1)
        self._has_template = False
        self._unused: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._log = self._directory / "log"
        data = str(self._directory / "data")
        made = self._run(["initdb", "-D", data, "-U", "oastfs", "-E", "UTF8", "--locale=C", "-A", "trust"])
        assert made.returncode == 0, made.stdout.decode(errors="replace")
        self.start()

    @property
    def log(self) -> Path:
        return self._log

    def url(self, database: str, driver: str = "psycopg2") -> str:
        return f"postgresql+{driver}://oastfs@127.0.0.1:{self.port}/{database}"

    def create_database(self, with_store: bool = False) -> str:
        """A new database, empty or with an empty store in it (a copy, which is quick); its name."""
        name = f"test_{next(self._numbers)}"
        if with_store and not self._has_template:
            from oastfs.store import open_store

            self.execute("CREATE DATABASE oastfs_template")
            open_store(self.url("oastfs_template"), create=True).close()
            self._has_template = True
        template = " TEMPLATE oastfs_template" if with_store else ""
        self.execute(f"CREATE DATABASE {name}{template}")
        return name

    def copy_database(self, template: str) -> str:
        """A new database that is a copy of one that nobody uses; its name."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    @contextmanager
    def empty_store(self) -> Iterator[str]:
        """A database with an empty store in it. It is emptied and lent again afterwards, which is quicker."""
        name = self._unused.pop() if self._unused else self.create_database(with_store=True)
        yield name
        self.empty(name)
        self._unused.append(name)

    def empty(self, name: str) -> None:
        """Remove every row of a database's store."""
        for (gid,) in self.execute(
            "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()", name
        ):
            self.execute(f"ROLLBACK PREPARED '{gid}'", name)
        try:
            self.execute(f"SET lock_timeout = '2s'; {_emptying()}", name)
        except Exception:  # a killed process's transaction may still be there
            self.kill_sessions(name)
            self.execute(_emptying(), name)

    def drop_database(self, name: str) -> None:
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def execute(self, sql: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run a statement as the superuser, in no transaction; its rows."""
        import psycopg2

        connection = psycopg2.connect(host="127.0.0.1", port=self.port, user="oastfs", dbname=database)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return list(cursor.fetchall()) if cursor.description else []
        finally:
            connection.close()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = [f"-c{name}={value}" for name, value in self._settings.items()]
        command = [str(self._binaries / "postgres"), "-D", str(self._directory / "data"), f"-p{self.port}"]
        with self._log.open("ab") as output:
            self._process = reaper.start(
                [*command, *options],
                signal.SIGQUIT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                **self._identity(),
            )
        wait_until(self._answers, f"PostgreSQL on port {self.port}", 60, tolerate=(OSError, Exception))

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT ends sessions and stops; SIGQUIT is a crash of the server."""
        if self._process is not None:
            os.kill(self._process.pid, how)
            self._process.wait(60)
            self._process = None

    def crash(self) -> None:
        """Kill -9: the server and all that it has started."""
        if self._process is not None:
            pid = self._process.pid
            os.kill(pid, signal.SIGSTOP)  # it is to start no more of them
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            for one in [str(pid), *children]:
                try:
                    os.kill(int(one), signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self._process.wait(60)
            self._process = None
            for one in children:
                wait_until(partial(_ended, one), f"the end of PostgreSQL's process {one}", 30)

    @contextmanager
    def demanding_passwords(self, role: str) -> Iterator[None]:
        """Have the server ask this user for a password."""
        file = self._directory / "data" / "pg_hba.conf"
        before = file.read_text()
        file.write_text(f"host all {role} 127.0.0.1/32 scram-sha-256\n{before}")
        self.execute("SELECT pg_reload_conf()")
        try:
            yield
        finally:
            file.write_text(before)
            self.execute("SELECT pg_reload_conf()")

    @contextmanager
    def without_autovacuum(self) -> Iterator[None]:
        """Nothing but the test begins transactions, so that what depends on it can be counted."""
        self._set("autovacuum = off")
        wait_until(
            lambda: not self.execute("SELECT 1 FROM pg_stat_activity WHERE backend_type LIKE 'autovacuum%'"),
            f"the end of autovacuum on port {self.port}",
            60,
        )
        try:
            yield
        finally:
            self._set("autovacuum = DEFAULT")

    def _set(self, setting: str) -> None:
        self.execute(f"ALTER SYSTEM SET {setting}")
        self.execute("SELECT pg_reload_conf()")

    def kill_sessions(self, database: str) -> int:
        """End every session on a database, as an administrator would; how many there were."""
        return len(
            self.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                f"WHERE datname = '{database}' AND pid <> pg_backend_pid()"
            )
        )

    def remove(self) -> None:
        """Stop it and remove its files."""
        try:
            self.stop()
        finally:
            shutil.rmtree(self._directory, ignore_errors=True)

    def _answers(self) -> bool:
        assert self._process is not None and self._process.poll() is None, tail(self._log)
        socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        return bool(self.execute("SELECT 1"))

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [str(self._binaries / command[0]), *command[1:]],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            cwd=self._directory,
            **self._identity(),
        )

    def _identity(self) -> dict[str, Any]:
        if self._user is None:
            return {}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}


class ShardServers:
    """Several servers, whose databases are the shards of stores."""

    def __init__(self, servers: list[PostgresServer]) -> None:
        self.servers = servers
        self._unused: list[list[str]] = []
        self._template: list[str] = []

    def create_databases(self, with_store: bool = False) -> list[str]:
        """A new database on each server, empty or with an empty store in them; their addresses."""
        if not with_store:
            return [server.url(server.create_database()) for server in self.servers]
        if not self._template:
            from oastfs.store import open_store

            self._template = [server.create_database() for server in self.servers]
            open_store(self.urls(self._template), create=True).close()
        names = []
        for server, template in zip(self.servers, self._template, strict=True):
            names.append(server.copy_database(template))
        return self.urls(names)

    def urls(self, names: list[str]) -> list[str]:
        return [server.url(name) for server, name in zip(self.servers, names, strict=True)]

    @contextmanager
    def empty_store(self) -> Iterator[list[str]]:
        """The addresses of databases with an empty store, which are emptied and lent again afterwards."""
        urls = self._unused.pop() if self._unused else self.create_databases(with_store=True)
        yield urls
        self.empty(urls)
        self._unused.append(urls)

    def empty(self, urls: list[str]) -> None:
        """Remove every row of a store."""
        for server, url in zip(self.servers, urls, strict=True):
            name = url.rpartition("/")[2]
            server.empty(name)
            server.execute("DELETE FROM oastfs.decision", name)

    @contextmanager
    def without_autovacuum(self) -> Iterator[None]:
        """As for one server."""
        with ExitStack() as stack:
            for server in self.servers:
                stack.enter_context(server.without_autovacuum())
            yield

    def prepared(self) -> list[str]:
        """Names of what is prepared on any of the servers."""
        found = [server.execute("SELECT gid FROM pg_prepared_xacts") for server in self.servers]
        return [str(gid) for rows in found for (gid,) in rows]

    def remove(self) -> None:
        for server in self.servers:
            server.remove()


def _ended(pid: str) -> bool:
    """Whether a process is gone, but perhaps for its remains."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def _emptying() -> str:
    from oastfs.store.schema import TABLES

    return "; ".join(f'DELETE FROM oastfs."{table.name}"' for table in TABLES)


def _place() -> str | None:
    """Memory where there is room: tests kill processes, not machines."""
    memory = Path("/dev/shm")
    return str(memory) if memory.is_dir() and shutil.disk_usage(memory).free > 4 << 30 else None


def _user() -> pwd.struct_passwd | None:
    """Whom the server runs as, if we are root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise AssertionError("there is neither a user postgres nor a user nobody to run PostgreSQL as")
