"""The overview, completion and start-up of the command."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from oastfs import __version__
from oastfs.cli import COMMANDS, cli


def run(*arguments: str) -> str:
    command = [sys.executable, "-m", "oastfs.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help_that_agrees_with_the_overview(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.help
    summary = COMMANDS[name].summary.rstrip(".")
    assert " ".join(command.help.split()).startswith(summary)
    with click.Context(command, info_name=name) as context:
        assert command.get_help(context)


def test_overview_lists_every_command() -> None:
    text = run("--help")
    for name, entry in COMMANDS.items():
        assert f"  {name} " in text
        assert entry.summary in text


def test_overview_imports_nothing_heavy() -> None:
    """Start-up stays fast because the help needs click alone."""
    code = (
        "import sys\n"
        "from oastfs.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'rich', 'msgspec', 'lmdb', 'grpc', 'uvloop', 'fsspec', 'asyncio', 'structlog'}\n"
        "print('loaded:', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded: []"


def test_version() -> None:
    assert run("version") == f"oastfs {__version__}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script(shell: str) -> None:
    script = run("completion", shell)
    assert "_OASTFS_COMPLETE" in script
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
