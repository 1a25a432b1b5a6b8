"""Symbolic and octal modes against what chmod(1) does."""

from __future__ import annotations

import random
import stat
import subprocess
from pathlib import Path

import pytest

from oastfs.cli.modes import parse


@pytest.mark.parametrize("text", ["", "8", "77777", "rw", "u+q", "x+w,", "u+rg", "u", ",", "+ r"])
def test_rejects(text: str) -> None:
    with pytest.raises(ValueError, match="no mode"):
        parse(text)


def test_octal_is_taken_as_it_stands() -> None:
    assert parse("640")(stat.S_IFREG | 0o4777) == 0o640
    assert parse("2755")(stat.S_IFDIR) == 0o2755


def test_without_a_class_the_umask_counts() -> None:
    assert parse("+w", umask=0o022)(stat.S_IFREG | 0o444) == 0o644
    assert parse("a+w", umask=0o022)(stat.S_IFREG | 0o444) == 0o666


def test_agrees_with_chmod(tmp_path: Path) -> None:
    """Random expressions on a file and a directory give what chmod(1) gives."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    generator = random.Random(seed)
    file, directory = tmp_path / "file", tmp_path / "directory"
    file.touch()
    directory.mkdir()
    for _ in range(120):
        target = generator.choice([file, directory])
        before = generator.randrange(0o10000)
        expression = _expression(generator)
        target.chmod(before)
        mode = target.stat().st_mode
        subprocess.run(["chmod", expression, str(target)], check=True)
        expected = stat.S_IMODE(target.stat().st_mode)
        assert parse(expression)(mode) == expected, f"chmod {expression} on {mode:o}, seed {seed}"
    directory.chmod(0o700)


def _expression(generator: random.Random) -> str:
    clauses = []
    for _ in range(generator.randint(1, 3)):
        who = "".join(generator.sample("ugo", generator.randint(1, 3))) if generator.random() < 0.8 else "a"
        if generator.random() < 0.2:
            what = generator.choice("ugo")
        else:
            what = "".join(generator.sample("rwxXst", generator.randint(1, 4)))
        clauses.append(who + generator.choice("+-=") + what)
    return ",".join(clauses)
