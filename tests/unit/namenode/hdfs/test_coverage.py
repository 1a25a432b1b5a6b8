"""The table of calls in docs/hdfs-compatibility.md is what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from oastfs.namenode.hdfs.calls import absent, load
from oastfs.namenode.hdfs.methods import METHODS

DOCUMENT = Path(__file__).resolve().parents[4] / "docs" / "hdfs-compatibility.md"
CALLS_OF_HADOOP = 111
ROW = re.compile(r"^\| (\w+) \| (yes|off) \|", re.MULTILINE)


def documented() -> dict[str, str]:
    return dict(ROW.findall(DOCUMENT.read_text()))


def test_every_call_is_there() -> None:
    load()
    rows = documented()
    assert len(rows) == CALLS_OF_HADOOP
    assert set(rows) == set(METHODS)


def test_what_is_off_is_named() -> None:
    load()
    off = {name for name, method in METHODS.items() if method.function.__module__ == absent.__name__}
    assert off == {name for name, state in documented().items() if state == "off"}
