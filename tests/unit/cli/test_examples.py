"""The units of docs/examples/systemd: systemd takes them, and the command takes their command lines."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from oastfs.cli import cli
from tests.harness.process import OASTFS

ROOT = Path(__file__).resolve().parents[3]
UNITS = sorted((ROOT / "docs" / "examples" / "systemd").glob("*.service"))
SETTINGS = ROOT / "docs" / "examples" / "systemd" / "oastfs.env"
PROGRAM = "/opt/oastfs/bin/oastfs"


def settings() -> dict[str, str]:
    """The environment file, as systemd reads it."""
    found = {}
    for line in SETTINGS.read_text().splitlines():
        if line and not line.startswith("#"):
            name, equals, value = line.partition("=")
            assert equals and re.fullmatch(r"[A-Z_]+", name), line
            found[name] = value
    return found


def command_line(unit: Path) -> list[str]:
    """The words of ExecStart: ``${NAME}`` is one word of it, ``$NAME`` as many as it has."""
    (line,) = (line for line in unit.read_text().splitlines() if line.startswith("ExecStart="))
    words: list[str] = []
    for word in shlex.split(line.removeprefix("ExecStart=")):
        if re.fullmatch(r"\$[A-Z_]+", word):
            words += settings()[word[1:]].split()
        else:
            words.append(re.sub(r"\$\{([A-Z_]+)\}", lambda match: settings()[match[1]], word))
    return words


def parse(words: list[str]) -> click.Context:
    """Have the command's own parser take a command line, without running it."""
    group = click.Context(cli, info_name="oastfs")
    name, command, rest = cli.resolve_command(group, words)
    assert command is not None
    return command.make_context(name, rest, parent=group)


def test_there_is_a_unit_for_each_server() -> None:
    assert [unit.stem for unit in UNITS] == ["oastfs-datanode", "oastfs-mount", "oastfs-namenode"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_the_command_takes_the_command_line(unit: Path) -> None:
    program, *words = command_line(unit)
    assert program == PROGRAM
    context = parse(words)
    assert f"oastfs-{context.info_name}" == unit.stem
    assert not any("$" in str(value) for value in context.params.values())


def test_what_the_settings_come_to() -> None:
    words = {unit.stem: command_line(unit)[1:] for unit in UNITS}
    datanode = parse(words["oastfs-datanode"]).params
    assert [path.name for path in datanode["volumes"]] == ["oastfs", "oastfs"]
    assert len(datanode["namenodes"]) == 3
    assert parse(words["oastfs-namenode"]).params["metadata"] == (settings()["OASTFS_METADATA"],)
    with pytest.raises(click.UsageError):
        parse([*words["oastfs-namenode"], "--no-such-option"])


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_the_unit_is_a_unit(unit: Path, tmp_path: Path) -> None:
    """By its sections, and by systemd's own check where there is one."""
    parser = configparser.RawConfigParser(strict=True)
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # as the library's manual has it
    parser.read(unit)
    assert parser.sections() == ["Unit", "Service", "Install"]
    assert parser["Service"]["Type"] == "notify"
    assert parser["Service"]["Restart"] == "always"
    assert parser["Service"]["EnvironmentFile"] == "/etc/oastfs/oastfs.env"
    if shutil.which("systemd-analyze") is not None:
        assert complaints(unit.read_text(), tmp_path / unit.name) == []
        wrong = unit.read_text().replace("RestartSec=", "RestartSeconds=")
        assert len(complaints(wrong, tmp_path / unit.name)) == 1


def complaints(text: str, copy: Path) -> list[str]:
    """What systemd says of a unit. It looks for the program and the user, so they are such as there are."""
    copy.write_text(text.replace(PROGRAM, OASTFS).replace("User=oastfs", "User=daemon"))
    command = ["systemd-analyze", "verify", "--man=no", str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return [line for line in done.stderr.splitlines() if copy.name in line]


def documented_commands() -> list[str]:
    """The lines of commands in docs/operations.md, put together where they go on, without remarks."""
    text = (ROOT / "docs" / "operations.md").read_text().replace("\\\n", " ")
    blocks = re.findall(r"^```text\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    lines = [line.partition(" #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("oastfs ") and not {"…", "$"} & set(line)]


def test_the_commands_of_the_document_are_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OASTFS_URL", "oastfs://localhost:8020")
    commands = documented_commands()
    assert len(commands) > 15
    for line in commands:
        words = shlex.split(line)[1:]
        context: click.Context = click.Context(cli, info_name="oastfs")
        command: click.Command = cli
        while isinstance(command, click.Group):
            name, found, words = command.resolve_command(context, words)
            assert found is not None, line
            command = found
            if not isinstance(command, click.Group):
                command.make_context(name, words, parent=context)
            else:
                context = click.Context(command, info_name=name, parent=context)
