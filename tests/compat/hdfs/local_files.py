"""Local files for the battery: made before a command, looked at after it."""

from __future__ import annotations

import grp
import gzip
import os
import pwd
import random
from collections.abc import Sequence
from pathlib import Path

from tests.harness.java import Done


def local_owner() -> str:
    """The user and group of this process, USER:GROUP."""
    return f"{pwd.getpwuid(os.getuid()).pw_name}:{grp.getgrgid(os.getgid()).gr_name}"


class LocalFiles:
    """The verbs of ``local`` lines."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def run(self, verb: str, arguments: Sequence[str]) -> Done:
        """Do it; what cannot be done is told as a command would."""
        try:
            return Done(0, getattr(self, "do_" + verb.replace("-", "_"))(*arguments) or "", "")
        except OSError as error:
            return Done(1, "", f"{error.strerror}: {error.filename}\n")

    def do_write(self, path: str, text: str) -> None:
        """A file with a text."""
        Path(path).write_text(text)

    def do_mkdir(self, path: str) -> None:
        """A directory, with those above it."""
        Path(path).mkdir(parents=True)

    def do_random(self, path: str, count: str) -> None:
        """A file of bytes that are the same in every run."""
        Path(path).write_bytes(random.Random(path.rpartition("/")[2]).randbytes(int(count)))

    def do_lines(self, path: str, count: str) -> None:
        """A file of numbered lines."""
        Path(path).write_text("".join(f"line {number}\n" for number in range(int(count))))

    def do_many(self, path: str, count: str) -> None:
        """A directory of files, with a few bytes each."""
        Path(path).mkdir()
        for number in range(int(count)):
            Path(path, f"f{number:05}").write_text(f"{number}\n")

    def do_gzip(self, path: str, text: str) -> None:
        """A compressed file."""
        Path(path).write_bytes(gzip.compress(text.encode(), mtime=0))

    def do_cat(self, path: str) -> str:
        """A file's content."""
        return Path(path).read_text()

    def do_size(self, path: str) -> str:
        """A file's length."""
        return f"{Path(path).stat().st_size}\n"

    def do_ls(self, path: str) -> str:
        """Everything below a directory."""
        found = sorted(Path(path).rglob("*"))
        return "".join(f"{one.relative_to(path)}{'/' if one.is_dir() else ''}\n" for one in found)

    def do_same(self, one: str, other: str) -> str:
        """Whether two files are."""
        return "same\n" if Path(one).read_bytes() == Path(other).read_bytes() else "differ\n"

    def do_concat_same(self, path: str, *parts: str) -> str:
        """Whether a file is made of the beginnings of others: FILE LENGTH FILE LENGTH..."""
        pairs = zip(parts[::2], parts[1::2], strict=True)
        joined = b"".join(Path(part).read_bytes()[: int(length)] for part, length in pairs)
        return "same\n" if Path(path).read_bytes() == joined else "differ\n"
