"""Logs of processes: JSON lines in files, readable ones on terminals, the standard library's among them."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from oastfs.core.logging import configure


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


def test_json_where_nobody_watches() -> None:
    stream = io.StringIO()
    configure("namenode", stream=stream)
    structlog.get_logger("oastfs.test").warning("something", path="/a", count=3)
    [line] = stream.getvalue().splitlines()
    event = json.loads(line)
    assert event["message"] == "something"
    assert event["process"] == "namenode"
    assert event["level"] == "warning"
    assert event["logger"] == "oastfs.test"
    assert (event["path"], event["count"]) == ("/a", 3)
    assert event["timestamp"].endswith("Z")


def test_the_standard_librarys_loggers_take_the_same_way() -> None:
    stream = io.StringIO()
    configure("datanode", stream=stream)
    logging.getLogger("some.library").error("broken %s", "pipe")
    event = json.loads(stream.getvalue())
    assert (event["message"], event["level"], event["process"]) == ("broken pipe", "error", "datanode")


def test_traces_are_one_line_of_json() -> None:
    stream = io.StringIO()
    configure("namenode", stream=stream)
    try:
        raise ValueError("inner")
    except ValueError as error:
        structlog.get_logger().error("failed", exc_info=error)
    [line] = stream.getvalue().splitlines()
    assert "ValueError: inner" in json.loads(line)["exception"]


def test_readable_on_a_terminal() -> None:
    stream = Terminal()
    configure("namenode", stream=stream)
    structlog.get_logger().info("hello")
    assert "hello" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


@pytest.mark.parametrize(("level", "shown"), [("debug", 3), ("info", 2), ("warning", 1), ("error", 0)])
def test_levels(level: str, shown: int) -> None:
    stream = io.StringIO()
    configure("namenode", level=level, stream=stream)
    log = structlog.get_logger()
    log.debug("1")
    log.info("2")
    log.warning("3")
    assert len(stream.getvalue().splitlines()) == shown


def test_configured_again_it_logs_once() -> None:
    first, second = io.StringIO(), io.StringIO()
    configure("one", stream=first)
    configure("two", stream=second)
    structlog.get_logger().info("hello")
    assert first.getvalue() == ""
    assert len(second.getvalue().splitlines()) == 1
