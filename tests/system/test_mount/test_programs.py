"""Ordinary programs on the mount: git, sqlite3, tar, rsync, make with a C compiler, venv and pip."""

from __future__ import annotations

import filecmp
import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from tests.system.test_mount.conftest import BINDINGS, Served

pytestmark = pytest.mark.parametrize("served", BINDINGS, indirect=True, scope="session")

ROOT = Path(__file__).resolve().parents[3]


def run(*arguments: str | Path, cwd: Path | None = None, **options: str) -> str:
    """A program's output; AssertionError with its messages if it fails."""
    done = subprocess.run(
        list(map(str, arguments)),
        cwd=cwd,
        env={**os.environ, **options},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, (
        f"{' '.join(map(str, arguments))}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    )
    return done.stdout


def need(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")


def tree_of(directory: Path) -> dict[str, tuple[int, int, str]]:
    """Mode, modification time in ns and content of everything below a directory."""
    found = {}
    for path in sorted(directory.rglob("*")):
        status = path.lstat()
        if path.is_symlink():
            content = os.readlink(path)
        else:
            content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path.relative_to(directory))] = (status.st_mode, status.st_mtime_ns, content)
    return found


def in_seconds(tree: dict[str, tuple[int, int, str]]) -> dict[str, tuple[int, int, str]]:
    """A tree with times in whole seconds, as some programs keep them."""
    return {name: (mode, ns // 10**9, content) for name, (mode, ns, content) in tree.items()}


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """A local tree with sources, a link, an executable, an empty directory and a larger file."""
    tree = tmp_path / "sample"
    shutil.copytree(ROOT / "oastfs" / "core", tree / "core", ignore=shutil.ignore_patterns("__pycache__"))
    (tree / "empty").mkdir()
    (tree / "link").symlink_to("core/errors.py")
    (tree / "program").write_text("#!/bin/sh\necho ran\n")
    (tree / "program").chmod(0o755)
    (tree / "large").write_bytes(hashlib.shake_256(b"large").digest(1_500_000))
    for number, path in enumerate(sorted(tree.rglob("*"))):
        os.utime(path, ns=(10**18 + number, 10**18 + number), follow_symlinks=False)
    return tree


def test_git(directory: Path, sample: Path) -> None:
    need("git")
    work = directory / "work"
    identity = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "HOME": str(directory)}
    identity |= {"GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b", "GIT_CONFIG_NOSYSTEM": "1"}

    def git(*arguments: str | Path, cwd: Path = work) -> str:
        return run("git", *arguments, cwd=cwd, **identity)

    git("init", "-q", "-b", "main", work, cwd=directory)
    for name in sorted(os.listdir(sample)):
        run("cp", "-a", sample / name, work)
        git("add", "-A")
        git("commit", "-q", "--allow-empty", "-m", f"Add {name}")
    assert git("status", "--porcelain") == ""
    git("gc", "-q")
    git("fsck", "--strict")
    git("clone", "-q", "--no-hardlinks", work, directory / "clone", cwd=directory)
    git("checkout", "-q", "-b", "other")
    (work / "core" / "errors.py").write_text("changed\n")
    git("commit", "-q", "-a", "-m", "Change")
    git("checkout", "-q", "main")
    assert git("status", "--porcelain") == ""
    assert filecmp.cmp(work / "core" / "errors.py", directory / "clone" / "core" / "errors.py", shallow=False)
    # The index holds the times that files had before they were closed: none may look changed.
    assert "up to date" in git("update-index", "--refresh", "--verbose") or git("diff-files") == ""


@pytest.mark.parametrize("journal", ["delete", "truncate", "persist", "wal"])
def test_sqlite(directory: Path, journal: str) -> None:
    path = directory / "data.db"
    connection = sqlite3.connect(path)
    assert connection.execute(f"PRAGMA journal_mode={journal}").fetchone() == (journal,)
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, data BLOB)")
    for number in range(20):
        with connection:
            connection.executemany("INSERT INTO t (data) VALUES (?)", [(os.urandom(700),) for _ in range(20)])
        if number % 5 == 0:
            with connection:
                connection.execute("UPDATE t SET data = zeroblob(900) WHERE id % 7 = 0")
    try:
        with connection:
            connection.execute("DELETE FROM t")
            raise InterruptedError
    except InterruptedError:
        pass
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (400,)
    connection.execute("VACUUM")
    connection.close()
    with sqlite3.connect(path) as again:
        assert again.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert again.execute("SELECT count(*) FROM t").fetchone() == (400,)
    again.close()


def test_sqlite_from_several_processes(directory: Path) -> None:
    path = directory / "data.db"
    setup = sqlite3.connect(path)
    setup.execute("PRAGMA journal_mode=wal")
    setup.execute("CREATE TABLE t (who INTEGER, n INTEGER)")
    setup.close()
    code = (
        "import sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1], timeout=60)\n"
        "for n in range(25):\n"
        "    with c:\n"
        "        c.execute('INSERT INTO t VALUES (?, ?)', (sys.argv[2], n))\n"
    )
    threads = [
        threading.Thread(target=run, args=(sys.executable, "-c", code, path, str(who))) for who in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check = sqlite3.connect(path)
    assert check.execute("SELECT count(*), count(DISTINCT who) FROM t").fetchone() == (75, 3)
    check.close()


def test_tar(directory: Path, sample: Path) -> None:
    need("tar")
    run("tar", "-C", sample, "-czf", directory / "sample.tar.gz", ".")
    (directory / "out").mkdir()
    run("tar", "-C", directory / "out", "-xpzf", directory / "sample.tar.gz")
    assert in_seconds(tree_of(directory / "out")) == in_seconds(tree_of(sample))
    run("tar", "-C", directory / "out", "-df", directory / "sample.tar.gz")


def test_cp_and_mv(directory: Path, sample: Path, tmp_path: Path) -> None:
    run("cp", "-a", sample, directory / "copy")
    assert tree_of(directory / "copy") == tree_of(sample)
    run("cp", "-a", directory / "copy", directory / "again")
    assert tree_of(directory / "again") == tree_of(sample)
    run("mv", directory / "again", tmp_path / "back")
    assert tree_of(tmp_path / "back") == tree_of(sample)
    assert run(directory / "copy" / "program") == "ran\n"
    run("rm", "-r", directory / "copy")
    assert os.listdir(directory) == []


def test_rsync(directory: Path, sample: Path) -> None:
    need("rsync")
    run("rsync", "-aHX", f"{sample}/", directory / "copy/")
    assert tree_of(directory / "copy") == tree_of(sample)
    assert run("rsync", "-ai", "--checksum", f"{sample}/", directory / "copy/") == ""
    with (sample / "large").open("r+b") as file:
        file.seek(700_000)
        file.write(b"changed in the middle")
    (sample / "core" / "types.py").unlink()
    run("rsync", "-a", "--inplace", "--no-whole-file", "--delete", f"{sample}/", directory / "copy/")
    # rsync does not mind what a directory's time is within the second.
    assert in_seconds(tree_of(directory / "copy")) == in_seconds(tree_of(sample))


def test_make_and_compiler(directory: Path) -> None:
    need("make")
    need("gcc")
    (directory / "main.c").write_text('#include "part.h"\nint main(void) { return part() - 42; }\n')
    (directory / "part.c").write_text('#include "part.h"\nint part(void) { return 42; }\n')
    (directory / "part.h").write_text("int part(void);\n")
    (directory / "Makefile").write_text(
        "program: main.o part.o\n\tgcc -o $@ $^\n%.o: %.c part.h\n\tgcc -g -O2 -c -o $@ $<\n"
        "libpart.a: part.o\n\tar rcs $@ $^\n"
    )
    run("make", "-j2", "program", "libpart.a", cwd=directory)
    run(directory / "program")
    assert "up to date" in run("make", "program", cwd=directory)
    (directory / "part.c").write_text('#include "part.h"\nint part(void) { return 43; }\n')
    assert "part.c" in run("make", "program", cwd=directory)
    assert subprocess.run([directory / "program"], check=False).returncode == 1


def test_virtual_environment_and_pip(served: Served, directory: Path) -> None:
    if served.binding != "kernel":
        pytest.skip("the same operations as the other programs, and slow through libfuse")
    wheel = tiny_wheel(directory)
    run(sys.executable, "-m", "venv", directory / "venv")
    python = directory / "venv" / "bin" / "python"
    run(python, "-m", "pip", "install", "-q", "--no-index", wheel)
    assert run(python, "-c", "import tiny; print(tiny.answer())", cwd=directory / "venv") == "42\n"
    run(python, "-m", "pip", "uninstall", "-q", "-y", "tiny")
    run("rm", "-r", directory / "venv")


def tiny_wheel(directory: Path) -> Path:
    """A package of one module, in the form that pip installs without a network."""
    path = directory / "tiny-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny/__init__.py", "def answer():\n    return 42\n")
        archive.writestr("tiny-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1\n")
        archive.writestr(
            "tiny-1.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        names = [
            "tiny/__init__.py",
            *(f"tiny-1.dist-info/{name}" for name in ("METADATA", "WHEEL", "RECORD")),
        ]
        archive.writestr("tiny-1.dist-info/RECORD", "".join(f"{name},,\n" for name in names))
    return path


def test_many_writers_at_once(directory: Path) -> None:
    """Threads that make, fill, move and remove files of their own, in one directory."""
    failures: list[BaseException] = []

    def work(who: int) -> None:
        try:
            for number in range(40):
                path, moved = directory / f"{who}-{number}", directory / f"moved-{who}-{number}"
                content = b"%d/%d " % (who, number) * 200
                path.write_bytes(content)
                os.rename(path, moved)
                assert moved.read_bytes() == content
                if number % 2:
                    moved.unlink()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(who,)) for who in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(os.listdir(directory)) == 6 * 20
