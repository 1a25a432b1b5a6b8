"""Sizes, tables and JSON as they are printed."""

from __future__ import annotations

import json

import pytest

from oastfs.cli import output
from oastfs.cli.sizes import parse_size


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.0K"),
        (1024, "1.0K"),
        (1536, "1.5K"),
        (10 * 1024, "10K"),
        (1023 * 1024, "1.0M"),
        (1 << 30, "1.0G"),
        ((1 << 63) - 1, "8.0E"),
    ],
)
def test_human_sizes(size: int, text: str) -> None:
    assert output.size_text(size, True) == text
    assert output.size_text(size, False) == str(size)


@pytest.mark.parametrize(
    ("text", "size"), [("0", 0), ("65536", 65536), ("64K", 65536), ("64kb", 65536), ("1.5GiB", 3 << 29)]
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "K", "-1", "1X", "1e3"])
def test_bad_sizes(text: str) -> None:
    with pytest.raises(ValueError, match="no size"):
        parse_size(text)


def test_table_is_plain_and_whole_when_piped(capsys: pytest.CaptureFixture[str]) -> None:
    long = "x" * 300
    output.print_table(("a", "size", "name"), [("1", "20", long), ("333", "4", "[red]y")], right=(1,))
    assert capsys.readouterr().out.splitlines() == [
        "a    size  name",
        f"1      20  {long}",
        "333     4  [red]y",
    ]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_json_lists_are_one_document(capsys: pytest.CaptureFixture[str], count: int) -> None:
    output.print_json_list({"n": number, "text": "ä"} for number in range(count))
    assert json.loads(capsys.readouterr().out) == [{"n": n, "text": "ä"} for n in range(count)]


def test_names_are_printed_as_they_are_when_piped() -> None:
    assert output.printable("a\x1b[31m\nb") == "a\x1b[31m\nb"


def test_control_characters_are_escaped_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "on_terminal", lambda: True)
    assert output.printable("a\x1b[31m\nbä") == "a\\x1b[31m\\nbä"
