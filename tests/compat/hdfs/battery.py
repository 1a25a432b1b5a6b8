"""A battery of commands of Hadoop's own tools, and what they print, in a form that can be compared.

``battery/*.commands`` has one command a line, as one would type it after ``hdfs``, except for:

* ``@user COMMAND`` runs it as somebody else than root; ``$HA COMMAND`` with a configuration of two namenodes;
* ``COMMAND <<< "text"`` gives it a standard input; ``COMMAND | filter`` filters its output (``FILTERS``);
* ``$D`` is the script's own directory in the filesystem, ``$L`` a local one, ``$NAMENODE`` the address of the
  namenode, ``$DATANODE`` that of a datanode, ``$ME`` the local user and group;
* ``local VERB ...`` does something with local files (see ``local_files``).

``golden/*.txt`` holds what a real HDFS answered, evened out where two runs differ (``Evener``).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tests.compat.hdfs.evening import Evener, ends, numbers, sizes
from tests.compat.hdfs.local_files import LocalFiles, local_owner
from tests.harness.java import Done, Jvm

HERE = Path(__file__).parent
SCRIPTS = HERE / "battery"
GOLDEN = HERE / "golden"

_TOOLS = "org.apache.hadoop.hdfs.tools"
TOOLS = {
    "cacheadmin": f"{_TOOLS}.CacheAdmin",
    "crypto": f"{_TOOLS}.CryptoAdmin",
    "debug": f"{_TOOLS}.DebugAdmin",
    "dfsadmin": f"{_TOOLS}.DFSAdmin",
    "ec": f"{_TOOLS}.ECAdmin",
    "fs": "org.apache.hadoop.fs.FsShell",
    "groups": f"{_TOOLS}.GetGroups",
    "haadmin": f"{_TOOLS}.DFSHAAdmin",
    "lsSnapshottableDir": f"{_TOOLS}.snapshot.LsSnapshottableDir",
    "snapshotDiff": f"{_TOOLS}.snapshot.SnapshotDiff",
    "storagepolicies": f"{_TOOLS}.StoragePolicyAdmin",
}

FILTERS: dict[str, Callable[[str], str]] = {
    "ends": ends,
    "numbers": numbers,
    "sizes": sizes,
    "sort": lambda text: "".join(sorted(text.splitlines(keepends=True))),
}


@dataclass(frozen=True)
class Command:
    """One line of a script."""

    text: str
    tool: str
    arguments: tuple[str, ...]
    user: str = "root"
    stdin: str = ""
    filter: str | None = None
    two_namenodes: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a command did, evened out: lines of output begin with ``> ``, of the error output with ``! ``."""

    command: str
    code: int
    lines: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join([f"$ {self.command}", *self.lines, f"= {self.code}"]) + "\n"


def names() -> list[str]:
    """The scripts, in order."""
    return sorted(path.stem for path in SCRIPTS.glob("*.commands"))


def commands(name: str) -> list[Command]:
    """The commands of a script."""
    lines = (SCRIPTS / f"{name}.commands").read_text().splitlines()
    return [parse(line) for line in lines if line and not line.startswith("#")]


def parse(line: str) -> Command:
    """A command from its line."""
    words = shlex.split(line)
    made = Command(line, "", ())
    if words[0] == "$HA":
        made, words = replace(made, two_namenodes=True), words[1:]
    if words[0].startswith("@"):
        made, words = replace(made, user=words[0][1:]), words[1:]
    if len(words) > 2 and words[-2] == "|":
        made, words = replace(made, filter=words[-1]), words[:-2]
    if len(words) > 2 and words[-2] == "<<<":
        made, words = replace(made, stdin=unescape(words[-1])), words[:-2]
    return replace(made, tool=words[0], arguments=tuple(words[1:]))


def unescape(text: str) -> str:
    """A text with ``\\n`` for the end of a line."""
    return text.replace("\\n", "\n")


@dataclass
class Battery:
    """Runs scripts against one filesystem."""

    namenode: str
    """Its address, HOST:PORT."""
    datanode: str
    """The address of a datanode for clients, HOST:PORT."""
    clients: Jvm
    tools: Jvm
    directory: Path
    """For local files."""

    def run(self, name: str) -> list[Outcome]:
        """What each command of a script does, once /battery and /user are empty."""
        local = self.directory / name
        local.mkdir()
        place = {"$D": f"/battery/{name}", "$L": str(local)}
        place |= {"$NAMENODE": self.namenode, "$DATANODE": self.datanode, "$ME": local_owner()}
        evener = Evener(str(local), self.namenode, self.datanode)
        # Groups come from above, and the root directory's depends on the configuration.
        for line in (
            "fs -rm -r -f -skipTrash /battery /user",
            "fs -mkdir -p /battery /user",
            "fs -chgrp supergroup /battery /user",
        ):
            self._run(parse(line), place, local)
        return [
            self._outcome(command, self._run(command, place, local), evener) for command in commands(name)
        ]

    def _run(self, command: Command, place: dict[str, str], local: Path) -> Done:
        def fill(text: str) -> str:
            return re.sub(r"\$[A-Z]+", lambda found: place[found[0]], text)

        arguments = [fill(argument) for argument in command.arguments]
        if command.tool == "local":
            return LocalFiles(local).run(arguments[0], [unescape(text) for text in arguments[1:]])
        jvm = self.clients if command.tool == "fs" else self.tools
        return jvm.run(
            TOOLS[command.tool],
            arguments,
            user=command.user,
            settings=self._settings(command),
            stdin=command.stdin.encode(),
        )

    def _settings(self, command: Command) -> dict[str, str]:
        settings = {"fs.defaultFS": f"hdfs://{self.namenode}", "dfs.replication": "1"}
        # An address that refuses is told at once.
        settings |= {"ipc.client.connect.max.retries": "1"}
        if not command.two_namenodes:
            return settings
        proxy = "org.apache.hadoop.hdfs.server.namenode.ha.ConfiguredFailoverProxyProvider"
        return settings | {
            "fs.defaultFS": "hdfs://cluster",
            "dfs.nameservices": "cluster",
            "dfs.ha.namenodes.cluster": "nn1,nn2",
            "dfs.namenode.rpc-address.cluster.nn1": self.namenode,
            "dfs.namenode.rpc-address.cluster.nn2": self.namenode,
            "dfs.client.failover.proxy.provider.cluster": proxy,
        }

    def _outcome(self, command: Command, done: Done, evener: Evener) -> Outcome:
        change = FILTERS[command.filter] if command.filter else str
        out = [f"> {line}" for line in change(evener.even(done.out)).splitlines()]
        err = [f"! {line}" for line in evener.even(done.err).splitlines()]
        return Outcome(command.text, done.code, tuple(line.rstrip() for line in out + err))


def read_golden(name: str) -> list[Outcome]:
    """What HDFS answered."""
    return parse_outcomes((GOLDEN / f"{name}.txt").read_text())


def write_golden(name: str, outcomes: list[Outcome]) -> None:
    """Keep what HDFS answered."""
    GOLDEN.mkdir(exist_ok=True)
    (GOLDEN / f"{name}.txt").write_text("".join(map(str, outcomes)))


def parse_outcomes(text: str) -> list[Outcome]:
    """Outcomes from their text."""
    found = re.finditer(r"^\$ (.*)\n((?:[>!].*\n)*)= (-?\d+)\n", text, re.M)
    return [Outcome(one[1], int(one[3]), tuple(one[2].splitlines())) for one in found]
