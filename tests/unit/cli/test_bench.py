"""`oastfs bench`: which words are commands, what a terminal is shown, and numbers with units."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from oastfs.bench.worker import Task
from oastfs.cli.bench import COMMANDS, bench_command
from oastfs.cli.bench.measuring import TerminalObserver
from oastfs.cli.bench.planning import rate_number


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    done = CliRunner().invoke(bench_command, [name, "--help"])
    assert done.exit_code == 0
    assert len(done.output.splitlines()) > 5


def test_the_overview_names_all_workloads() -> None:
    overview = CliRunner().invoke(bench_command, ["--help"]).output
    assert all(word in overview for word in [*COMMANDS, "create", "read-many", "stream-write"])


def test_other_words_are_single_operations() -> None:
    done = CliRunner().invoke(bench_command, ["--count", "5", "stat", "fly"])
    assert done.exit_code == 2
    assert "no workload 'fly'" in done.output


def test_progress_tells_the_rate_since_the_last_time() -> None:
    shown: list[str] = []
    observer = TerminalObserver(shown.append)
    observer.began(Task("stat", "oastfs://a:1"), "stat")
    observer.progress(500, 1.0)
    observer.progress(1500, 1.5)
    observer.progress(1500, 1.5)
    observer.began(Task("mdtest", "/mnt"), "file-create")
    assert shown == [
        "stat on oastfs://a:1 …",
        "stat on oastfs://a:1: 1 s, 500 done, 500/s",
        "stat on oastfs://a:1: 2 s, 1,500 done, 2,000/s",
        "mdtest file-create on /mnt …",
    ]


def test_rates_with_units() -> None:
    assert [rate_number(text) for text in ("1500", "50k", "1.2M")] == [1500, 50_000, 1_200_000]
    with pytest.raises(ValueError):
        rate_number("fast")
