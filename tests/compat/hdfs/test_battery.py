"""Hadoop's own commands against OastFS: each answers as HDFS does, or differs as we say it does."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import zip_longest
from pathlib import Path

import pytest

from tests.compat.hdfs.battery import Battery, Outcome, commands, names, read_golden
from tests.compat.hdfs.differences import differences
from tests.harness.cluster import HOST, Cluster
from tests.harness.java import Jvm, client_jars, tool_jars

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not (client_jars() and tool_jars()), reason="needs Java and Hadoop's jars"),
]

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "hdfs-compatibility.md"
COMMANDS = [
    pytest.param(name, index, id=f"{name}-{index:03}-{command.text}")
    for name in names()
    for index, command in enumerate(commands(name))
]


class Runs:
    """The scripts' outcomes: each script is run when the first of its commands is asked for."""

    def __init__(self, battery: Battery) -> None:
        self._battery = battery
        self._outcomes: dict[str, list[Outcome] | Exception] = {}

    def outcome(self, name: str, index: int) -> Outcome:
        """What one command did."""
        if name not in self._outcomes:
            try:
                self._outcomes[name] = self._battery.run(name)
            except (AssertionError, Exception) as error:
                self._outcomes[name] = error
        found = self._outcomes[name]
        if isinstance(found, Exception):
            raise AssertionError(f"{name} did not run to its end") from found
        return found[index]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """A filesystem for the battery alone, which enters safe mode and removes everything."""
    directory = tmp_path_factory.mktemp("battery")
    with (
        Cluster(directory / "cluster", replication=1) as cluster,
        Jvm("clients", client_jars(), directory) as clients,
        Jvm("tools", tool_jars(), directory) as tools,
    ):
        namenode, datanode = cluster.namenodes[0], cluster.datanodes[0]
        yield Runs(Battery(f"{HOST}:{namenode.port}", f"{HOST}:{datanode.port}", clients, tools, directory))


golden = cache(read_golden)
listed = cache(differences)


@pytest.mark.parametrize("name", names())
def test_golden_file_is_of_this_script(name: str) -> None:
    pairs = zip_longest(golden(name), commands(name))
    for number, (outcome, command) in enumerate(pairs):
        ours, theirs = command and command.text, outcome and outcome.command
        assert ours == theirs, f"command {number} of {name}: record it anew (tests/compat/hdfs/record.py)"


@pytest.mark.parametrize(("name", "index"), COMMANDS)
def test_command(runs: Runs, name: str, index: int) -> None:
    ours, theirs = runs.outcome(name, index), golden(name)[index]
    difference = listed().get((name, index))
    if difference is None:
        assert str(ours) == str(theirs)
        return
    assert ours != theirs, f"differs no longer ({difference.title}): take it out of differences.txt"
    assert str(ours) == str(difference.ours), f"differs, but not as listed ({difference.title})"


def test_differences_are_explained() -> None:
    text = DOCUMENT.read_text()
    titles = {difference.title for difference in listed().values()}
    assert not [title for title in titles if f"**{title}.**" not in text], f"missing in {DOCUMENT.name}"
