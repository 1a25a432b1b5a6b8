"""What is there is told apart from what cannot be told."""

from __future__ import annotations

from pathlib import Path

import pytest

from oastfs.core.local_files import is_directory, is_there


def test_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "directory-link").symlink_to(tmp_path)
    (tmp_path / "dangling").symlink_to("nothing")
    there = {"file", "link", "directory-link", ""}
    for name in (*there, "dangling", "nothing", "file/below"):
        assert is_there(tmp_path / name) == (name in there), name
        assert is_directory(tmp_path / name) == (name in ("directory-link", "")), name


def test_an_error_is_no_answer(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to("circle")
    for name in ("circle", "x" * 300):
        for ask in (is_there, is_directory):
            with pytest.raises(OSError, match=r"Too many levels|too long"):
                ask(tmp_path / name)
