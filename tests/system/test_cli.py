"""The commands for files, in direct mode on an embedded store: output, errors, exit codes."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.cluster import run_oastfs
from tests.harness.command import Command
from tests.harness.process import OASTFS


@pytest.fixture
def oast(tmp_path: Path) -> Iterator[Command]:
    url = f"lmdb://{tmp_path / 'store'}"
    run_oastfs("format", url, "--inline-limit", "16K")
    yield Command(url, tmp_path)
    run_oastfs("fsck", url)


@pytest.fixture
def tree(oast: Command) -> Command:
    """/a (10 bytes), /dir/b (3 bytes), /dir/sub/c (empty), /link -> dir, /.hidden"""
    oast("mkdir", "-p", "/dir/sub")
    oast("put", "-", "/a", stdin=b"0123456789")
    oast("put", "-", "/dir/b", stdin=b"bbb")
    oast("touch", "/dir/sub/c", "/.hidden")
    oast("ln", "-s", "dir", "/link")
    return oast


# --- ls, tree, find, stat -------------------------------------------------------------------------


def test_ls(tree: Command) -> None:
    assert tree.lines("ls") == ["a", "dir", "link"]
    assert tree.lines("ls", "-a") == [".hidden", "a", "dir", "link"]
    assert tree.lines("ls", "-r") == ["link", "dir", "a"]
    assert tree.lines("ls", "/link") == ["b", "sub"]
    assert tree.lines("ls", "-d", "/dir") == ["/dir"]
    assert tree.lines("ls", "/a", "/dir") == ["/a", "", "/dir:", "b", "sub"]
    assert tree.lines("ls", "-R") == ["/:", "a", "dir", "link", "", "/dir:", "b", "sub", "", "/dir/sub:", "c"]


def test_ls_takes_urls(tree: Command) -> None:
    tree.environment.pop("OASTFS_URL")
    assert tree.lines("ls", f"{tree.url}!/dir") == ["b", "sub"]


def test_ls_long(tree: Command) -> None:
    tree("chmod", "4750", "/a")
    tree("touch", "-d", "2024-02-03T04:05", "/a")
    mode, links, owner, group, size, day, minute, name = tree.lines("ls", "-l", "/a")[0].split()
    assert (mode, links, size, name) == ("-rwsr-x---", "1", "10", "/a")
    assert (day, minute) == ("2024-02-03", "04:05")
    assert owner and group
    assert tree.lines("ls", "-l")[2].endswith("link -> dir")
    assert tree.lines("ls", "-lh", "/a")[0].split()[4] == "10"


def test_ls_orders(tree: Command) -> None:
    tree("touch", "-d", "2024-01-01", "/a")
    tree("touch", "-d", "2024-01-03", "/dir")
    assert tree.lines("ls", "-t")[1:] == ["dir", "a"]
    assert tree.lines("ls", "-S")[0] == "a"
    assert tree.lines("ls", "-tr")[:2] == ["a", "dir"]


def test_ls_json(tree: Command) -> None:
    records = tree.json("ls", "-R", "/dir")
    assert [record["path"] for record in records] == ["/dir/b", "/dir/sub", "/dir/sub/c"]
    record = records[0]
    assert {key: record[key] for key in ("name", "type", "size", "links", "inline")} == {
        "name": "b",
        "type": "file",
        "size": 3,
        "links": 1,
        "inline": True,
    }
    assert record["mode"].isdigit() and record["mtime_ns"] > 10**18
    assert tree.json("ls", "/dir/sub/c")[0]["path"] == "/dir/sub/c"


def test_ls_of_nothing(tree: Command) -> None:
    assert "/none: " in tree.fails("ls", "/none")
    done = tree.run("ls", "/none", "/a")
    assert done.returncode == 3
    assert done.stdout == b"/a\n"


def test_patterns(tree: Command) -> None:
    assert tree.lines("ls", "-d", "/d*/*") == ["/dir/b", "/dir/sub"]
    assert tree("cat", "/[ab]") == "0123456789"
    assert "no file matches" in tree.fails("rm", "/x*")
    tree("touch", "/x*", "/xy")
    tree("rm", "/x*")  # the file of that very name
    assert tree.lines("ls", "-d", "/x*") == ["/xy"]


def test_a_big_directory_is_listed_whole_and_in_order(oast: Command) -> None:
    source = oast.directory / "many"
    source.mkdir()
    names = [f"{number:05}" for number in range(12_000)]
    for name in names:
        (source / name).touch()
    oast("put", source, "/many")
    assert oast.lines("ls", "/many") == names
    assert len(oast.json("ls", "/many")) == len(names)


def test_tree(tree: Command) -> None:
    assert tree.lines("tree", "/dir") == [
        "/dir",
        "├── b",
        "└── sub",
        "    └── c",
        "",
        "1 directories, 2 files",
    ]
    assert tree.lines("tree", "-d", "-L", "1") == ["/", "└── dir", "", "1 directories, 0 files"]


def test_find(tree: Command) -> None:
    assert tree.lines("find", "--type", "f") == ["/.hidden", "/a", "/dir/b", "/dir/sub/c"]
    assert tree.lines("find", "/dir", "--name", "[bc]") == ["/dir/b", "/dir/sub/c"]
    assert tree.lines("find", "--size", "+3") == ["/a"]
    assert tree.lines("find", "--size", "3") == ["/dir/b"]
    assert tree.lines("find", "--modified", "+1d") == []
    assert tree("find", "/dir", "-0", "--type", "d") == "/dir\0/dir/sub\0"
    assert [record["path"] for record in tree.json("find", "--type", "l")] == ["/link"]
    assert "no size" in tree.fails("find", "--size", "big", code=2)


def test_stat(tree: Command) -> None:
    record = tree.json("stat", "/link")[0]
    assert (record["type"], record["target"]) == ("symlink", "dir")
    assert tree.json("stat", "-L", "/link")[0]["type"] == "directory"
    text = tree("stat", "/a")
    assert "Size: 10 (10)" in text
    assert "Type: file, inline" in text
    assert tree.run("stat", "/a", "/none").returncode == 3


def test_du_and_df(tree: Command) -> None:
    rows = {row["path"]: row for row in tree.json("du", "/")}
    assert rows["/"]["length"] == 16, "the content, and the target of the link"
    assert rows["/dir"]["files"] == 2
    assert rows["/dir"]["directories"] == 2
    assert [row["path"] for row in tree.json("du", "-s", "/dir")] == ["/dir"]
    assert tree.lines("du", "-s", "/dir")[1].split() == [
        "3",
        str(rows["/dir"]["space_consumed"]),
        "2",
        "2",
        "/dir",
    ]
    space = tree.json("df")
    assert space["metadata_bytes"] > 0
    assert space["inodes"] >= 6
    assert "inodes" in tree("df", "-h")


# --- content --------------------------------------------------------------------------------------


def test_cat_head_tail(oast: Command) -> None:
    lines = b"".join(b"line %d\n" % number for number in range(1, 31))
    oast("put", "-", "/f", stdin=lines)
    oast("put", "-", "/g", stdin=b"no newline")
    assert oast("cat", "/f", "/g").encode() == lines + b"no newline"
    assert oast("head", "-n", 2, "/f") == "line 1\nline 2\n"
    assert oast("head", "-c", 6, "/f") == "line 1"
    assert oast("tail", "/f").encode() == b"".join(lines.splitlines(True)[-10:])
    assert oast("tail", "-n", 1, "/g") == "no newline"
    assert oast("tail", "-n", 0, "/f") == ""
    assert oast("tail", "-n", 100, "/f").encode() == lines
    assert oast("tail", "-c", 3, "/f") == "30\n"
    assert oast("head", "-n", 1, "/f", "/g") == "==> /f <==\nline 1\n\n==> /g <==\nno newline"
    assert "Is a directory" in oast.fails("cat", "/")


def test_tail_follows(oast: Command) -> None:
    oast("put", "-", "/log", stdin=b"one\n")
    process = subprocess.Popen([OASTFS, "tail", "-f", "/log"], stdout=subprocess.PIPE, env=oast.environment)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"one\n"
        oast("put", "-", "/log", stdin=b"one\ntwo\n")
        assert process.stdout.readline() == b"two\n"
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        process.stdout.close()


def test_a_closed_pipe_ends_it_quietly(oast: Command) -> None:
    for name in ("one", "two"):
        oast("put", "-", f"/{name}", stdin=b"x" * 16_000)
    script = f"{OASTFS} cat {'/one /two ' * 20} | head -c 10; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, env=oast.environment, check=False)
    assert done.stdout == b"x" * 10
    assert done.stderr == b""
    assert done.returncode == 141


# --- changes --------------------------------------------------------------------------------------


def test_mkdir(oast: Command) -> None:
    oast("mkdir", "/one")
    assert "/one: " in oast.fails("mkdir", "/one")
    assert "No such file" in oast.fails("mkdir", "/no/way")
    oast("mkdir", "-p", "/one", "/no/way")
    oast("mkdir", "-m", "700", "/private")
    assert oast.json("stat", "/private")[0]["mode"] == "0700"
    assert oast.run("mkdir", "/one", "/new").returncode == 3
    assert oast.json("stat", "/new")


def test_rm(tree: Command) -> None:
    assert "-r" in tree.fails("rm", "/dir")
    tree("rm", "/link", "/a")
    tree("rm", "-r", "/dir")
    assert tree.lines("ls") == []
    assert "/a: " in tree.fails("rm", "/a")
    tree("rm", "-f", "/a")
    assert "root" in tree.fails("rm", "-r", "/", code=2)


def test_mv(tree: Command) -> None:
    tree("mv", "/a", "/dir")
    tree("mv", "/dir/a", "/dir/b", "/dir/sub")
    assert tree.lines("ls", "/dir/sub") == ["a", "b", "c"]
    tree("mv", "/dir", "/moved")
    assert tree("cat", "/moved/sub/a") == "0123456789"
    assert tree.fails("mv", "-n", "/moved/sub/a", "/moved/sub/b")
    tree("mv", "/moved/sub/a", "/moved/sub/b")
    assert tree("cat", "/moved/sub/b") == "0123456789"
    assert "existing directory" in tree.fails("mv", "/moved", "/.hidden", "/nowhere")
    assert "one filesystem" in tree.fails("mv", "/moved", "oastfs://localhost:1/x", code=2)


def test_ln(tree: Command) -> None:
    tree("ln", "/a", "/second")
    assert tree.json("stat", "/a")[0]["links"] == 2
    assert tree("cat", "/second") == "0123456789"
    assert "/second" in tree.fails("ln", "-s", "elsewhere", "/second")
    tree("ln", "-sf", "elsewhere", "/second")
    assert tree.json("stat", "/second")[0]["target"] == "elsewhere"
    tree("ln", "-s", "../a", "/dir")
    assert tree.json("stat", "/dir/a")[0]["target"] == "../a"
    assert tree.fails("ln", "/none", "/x")


def test_touch(oast: Command) -> None:
    oast("touch", "-c", "/f")
    assert oast.lines("ls") == []
    oast("touch", "-d", "2001-09-09T01:46:40", "/f")
    assert oast.json("stat", "/f")[0]["mtime_ns"] == 10**18
    oast("touch", "/f")
    assert oast.json("stat", "/f")[0]["mtime_ns"] > 10**18
    assert "no date" in oast.fails("touch", "-d", "yesterday", "/f", code=2)


def test_chmod(tree: Command) -> None:
    tree("chmod", "u=rw,go=", "/a")
    assert tree.json("stat", "/a")[0]["mode"] == "0600"
    tree("chmod", "-R", "a-w", "/dir")
    assert {int(r["mode"], 8) & 0o222 for r in tree.json("ls", "-R", "/dir")} == {0}
    tree("chmod", "-x", "/dir/sub")
    assert int(tree.json("stat", "/dir/sub")[0]["mode"], 8) & 0o111 == 0
    assert "no mode" in tree.fails("chmod", "rw", "/a", code=2)


def test_chown(tree: Command) -> None:
    tree("chown", "1001:1002", "/a")
    record = tree.json("stat", "/a")[0]
    assert (record["uid"], record["gid"]) == (1001, 1002)
    tree("chown", "-R", "alice:staff", "/dir")
    assert {(r["owner"], r["group"]) for r in tree.json("ls", "-R", "/dir")} == {("alice", "staff")}
    tree("chown", ":wheel", "/a")
    record = tree.json("stat", "/a")[0]
    assert (record["uid"], record["group"]) == (1001, "wheel")
    tree("chown", "-h", "7", "/link")
    assert tree.json("stat", "/link")[0]["uid"] == 7
    assert "no owner" in tree.fails("chown", ":", "/a", code=2)


def test_setrep(tree: Command) -> None:
    tree("setrep", "-R", 3, "/dir")
    assert tree.json("stat", "/dir/b")[0]["replication"] == 3
    tree.fails("setrep", 0, "/a", code=2)


def test_xattr(oast: Command) -> None:
    oast("touch", "/f")
    oast("xattr", "set", "/f", "user.note", "hello")
    oast("xattr", "set", "/f", "user.raw", "--file", "-", stdin=b"\x00\xff")
    assert oast.lines("xattr", "ls", "/f") == ["user.note=hello", "user.raw=0x00ff"]
    assert oast.json("xattr", "ls", "/f") == {"user.note": {"text": "hello"}, "user.raw": {"base64": "AP8="}}
    assert oast.run("xattr", "get", "/f", "user.raw").stdout == b"\x00\xff"
    oast("xattr", "rm", "/f", "user.note")
    assert "no extended attribute user.note" in oast.fails("xattr", "get", "/f", "user.note")
    oast.fails("xattr", "set", "/f", "user.x", code=2)


# --- put, get, cp ---------------------------------------------------------------------------------


@pytest.fixture
def source(tmp_path: Path) -> Path:
    top = tmp_path / "source"
    (top / "sub").mkdir(parents=True)
    for number in range(1200):
        (top / "sub" / f"{number}").write_bytes(os.urandom(number % 50))
    (top / "script").write_text("#!/bin/sh\n")
    (top / "script").chmod(0o750)
    (top / "name with ä and \n newline").write_text("odd")
    os.symlink("script", top / "link")
    os.link(top / "script", top / "sub" / "second")
    os.setxattr(top / "script", "user.origin", b"here")
    os.utime(top / "sub", ns=(10**18 + 1, 10**18 + 2))
    return top


def snapshot(top: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    for path in sorted(top.rglob("*")):
        status = path.lstat()
        data: object = os.readlink(path) if path.is_symlink() else path.is_file() and path.read_bytes()
        found[str(path.relative_to(top))] = (status.st_mode, status.st_mtime_ns, status.st_nlink, data)
    return found


def test_a_tree_goes_in_and_comes_out_the_same(oast: Command, source: Path, tmp_path: Path) -> None:
    oast("put", "-p", source, "/tree")
    assert oast.json("du", "-s", "/tree")[0]["files"] >= 1203
    oast("get", "-p", "/tree", tmp_path / "back")
    assert snapshot(source) == snapshot(tmp_path / "back")
    assert os.getxattr(tmp_path / "back" / "script", "user.origin") == b"here"
    assert (tmp_path / "back" / "script").samefile(tmp_path / "back" / "sub" / "second")


def test_cp_keeps_all_that_it_is_asked_to(oast: Command, source: Path, tmp_path: Path) -> None:
    oast("put", "-p", source, "/tree")
    assert "-r" in oast.fails("cp", "/tree", "/copy")
    oast("cp", "-rp", "/tree", "/copy")
    oast("get", "-p", "/copy", tmp_path / "back")
    assert snapshot(source) == snapshot(tmp_path / "back")
    assert "into itself" in oast.fails("cp", "-r", "/copy", "/copy/x", code=2)
    assert "into itself" in oast.fails("cp", "-r", "/", "/x", code=2)


def test_cp_between_filesystems(oast: Command, source: Path, tmp_path: Path) -> None:
    other = f"lmdb://{tmp_path / 'other'}"
    run_oastfs("format", other)
    oast("put", source / "script", "/script")
    oast("cp", "/script", f"{other}!/there")
    assert oast("cat", f"{other}!/there") == "#!/bin/sh\n"


def test_put_without_preserve_follows_the_umask(oast: Command, source: Path) -> None:
    (source / "script").chmod(0o777)
    oast("put", source / "script", "/f")
    mask = os.umask(0)
    os.umask(mask)
    assert int(oast.json("stat", "/f")[0]["mode"], 8) == 0o777 & ~mask


def test_acls_are_shown_and_copied(oast: Command, tmp_path: Path) -> None:
    local, name = tmp_path / "local", "system.posix_acl_access"
    local.write_bytes(b"x")
    entries = [(1, 6, -1), (2, 4, 12345), (4, 0, -1), (16, 4, -1), (32, 0, -1)]
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
    os.setxattr(local, name, acl)
    oast("put", "-p", local, "/f")
    oast("cp", "-p", "/f", "/g")
    oast("get", "-p", "/g", tmp_path / "back")
    assert os.getxattr(tmp_path / "back", name) == acl
    assert [line.split()[0] for line in oast.lines("ls", "-l", "/")] == ["-rw-r-----+"] * 2
    assert oast.json("stat", "/f")[0]["acl"]
    assert "-rw-r-----+".lstrip("-") in oast("stat", "/f")


def test_put_into_and_onto(oast: Command, source: Path) -> None:
    oast("mkdir", "/d")
    oast("put", source / "script", source / "sub", "/d")
    assert oast.lines("ls", "/d") == ["script", "sub"]
    oast("put", source / "sub" / "7", "/d/script")
    assert oast.run("cat", "/d/script").stdout == (source / "sub" / "7").read_bytes()
    assert "/d/script" in oast.fails("put", "-n", source / "script", "/d/script")
    assert "existing directory" in oast.fails("put", source / "script", source / "sub", "/nowhere")
    assert "No such file" in oast.fails("put", source / "none", "/x")
    assert "No such file" in oast.fails("put", source / "script", "/no/such/x")
    done = oast.run("put", source / "none", source / "script", "/d")
    assert done.returncode == 3


def test_get_to_stdout_and_onto(oast: Command, source: Path, tmp_path: Path) -> None:
    oast("put", source / "script", "/f")
    assert oast("get", "/f", "-") == "#!/bin/sh\n"
    (tmp_path / "out").mkdir()
    oast("get", "/f", tmp_path / "out")
    oast("get", "/f", tmp_path / "out" / "g")
    assert (tmp_path / "out" / "f").read_text() == (tmp_path / "out" / "g").read_text() == "#!/bin/sh\n"
    assert "File exists" in oast.fails("get", "-n", "/f", tmp_path / "out")
    assert "No such file" in oast.fails("get", "/none", tmp_path / "out")
    assert "put" in oast.fails("get", "/f", oast.url, code=2)


def test_unwritable_place(oast: Command) -> None:
    oast("touch", "/f")
    assert "/proc/nowhere/f" in oast.fails("get", "/f", "/proc/nowhere/f")


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["ls", "/a/../b"], 2, "'..'"),
        (["ls", "/" + "x" * 256], 2, "255 bytes"),
        (["mkdir", "/" + "ä" * 128], 2, "255 bytes"),
        (["ls", os.fsdecode(b"/\xff\xfe")], 2, "UTF-8"),
        (["ls", "lmdb:///nowhere/at/all!/"], 1, "/nowhere/at/all"),
        (["ls", "lmdb:///etc!/"], 1, "/etc"),
        (["ls", "oastfs://localhost:1/"], 1, "oastfs up"),
        (["ls", "oastfs://localhost:nonsense/"], 1, "nonsense"),
        (["ls", "gopher://x/"], 1, "gopher"),
        (["cat"], 2, "URL"),
        (["nonsense"], 2, "nonsense"),
    ],
)
def test_wrong_input_is_told_in_one_line(
    oast: Command, arguments: list[str], code: int, message: str
) -> None:
    assert message in oast.fails(*arguments, code=code)


def test_permissions(oast: Command, tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can become others")
    oast("put", "-", "/secret", stdin=b"x")
    oast("chmod", "600", "/secret")
    # Another user may not be able to read the interpreter's own files: load everything before.
    script = (
        "import os, sys\n"
        "from oastfs.cli import main\n"
        "for user in (0, 12345):\n"
        "    os.setgroups([]); os.setgid(user); os.setuid(user)\n"
        "    try: main(['cat', '/secret'])\n"
        "    except SystemExit as end: code = end.code\n"
        "sys.exit(code)"
    )
    for path in [tmp_path / "store", *(tmp_path / "store").rglob("*")]:
        path.chmod(0o777)
    for parent in [tmp_path, *tmp_path.parents[:-2]]:
        parent.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=oast.environment, check=False
    )
    assert done.stdout == "x"
    assert "permission denied" in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.returncode == 1


def test_completion_offers_paths(tree: Command) -> None:
    def complete(words: str) -> list[str]:
        environment = {
            **tree.environment,
            "_OASTFS_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
        }
        done = subprocess.run([OASTFS], capture_output=True, text=True, env=environment, check=True)
        return [line.partition(",")[2] for line in done.stdout.split()]

    assert complete("oastfs l") == ["ls", "ln"]
    assert complete("oastfs ls /d") == ["/dir/"]
    assert complete("oastfs ls /dir/") == ["/dir/b", "/dir/sub/"]
    assert complete("oastfs ls /none/") == []


def test_json_is_valid_for_odd_names(oast: Command) -> None:
    oast("put", "-", '/quote"\n\t', stdin=b"")
    assert json.loads(oast("ls", "--json"))[0]["name"] == 'quote"\n\t'
