"""ACLs through the mount, by setfacl and getfacl: the same script on the mount and on a local filesystem."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from oastfs.client.filesystem import connect
from oastfs.core.types import SUPERUSER, AclEntry, AclKind, AclScope
from tests.harness.waiting import wait_until
from tests.system.test_mount.conftest import Served

SCRIPTS = {
    "named users and groups": """
        mkdir -m 750 d; echo content > d/f; chmod 640 d/f
        setfacl -m u:12345:rwx,g:23456:r-- d; show d
        setfacl -m u:12345:rw- d/f; show d/f
        as 12345 cat d/f
        as 12345 sh -c 'echo more >> d/f'
        as 12346 cat d/f
        as 12346 --groups 23456 ls d
        as 12346 --groups 23456 cat d/f
        as 12346 setfacl -m u:12346:rwx d
        as 12345 setfacl -m u:12346:rwx d/f
        cat d/f
    """,
    "masks": """
        touch f; chmod 660 f
        setfacl -m u:12345:rwx,m::r f; show f
        as 12345 sh -c 'echo x >> f'
        chmod g+w f; show f
        as 12345 sh -c 'echo x >> f'; cat f
        chmod 604 f; show f
        as 12345 cat f
        setfacl -m g:23456:rwx f; show f
        setfacl -n -m u:12346:rwx,m::- f; show f
        setfacl -x u:12345 f; show f
        setfacl -x u:12345 f; show f
    """,
    "defaults": """
        mkdir d; setfacl -d -m u:12345:rwx,g:23456:rx d; setfacl -m u:12345:rwx d; show d
        umask 077
        as 12345 sh -c 'touch d/f; mkdir d/e; mkfifo d/p; mkdir -m 711 d/g; ln -s f d/l; mkdir -p d/a/b/c'
        show d/f d/e d/p d/g d/a/b/c
        as 12345 python3 -c 'import os; os.close(os.open("d/o", os.O_CREAT | os.O_WRONLY, 0o604))'
        show d/o
        umask 022; mkdir d/e/under; touch d/e/under/f; show d/e/under d/e/under/f
        touch plain; show plain
        setfacl -k d; show d; touch d/after; show d/after
        mkdir m; setfacl -d -m g::rwx,o::- m; umask 027; touch m/f; mkdir m/d; show m m/f m/d
        touch f; setfacl -d -m u:12345:r f
    """,
    "set-group-id of who is not of the group": """
        for name in f d; do
            test $name = f && touch $name || mkdir $name
            chown 12345:23456 $name; chmod 2755 $name
            as 12345 --groups 23456 setfacl -m u:12346:rx $name; show $name
            as 12345 setfacl -m u:12346:rwx $name; show $name
            chmod 2755 $name; as 12345 setfacl -d -m u:12346:rwx $name; show $name
            chmod 2755 $name; as 12345 chmod 2750 $name; show $name
            chmod 2755 $name; setfacl -m u:12346:r $name; show $name
        done
    """,
    "removing and replacing": """
        mkdir d; setfacl -m u:12345:rwx,d:u:12346:r d; show d
        setfacl --set u::rwx,g::r,o::-,g:23456:x d; show d
        setfacl -b d; show d
        setfacl --set u::rwx,g::r,o::- d; show d
        setfacl -m u:12345:rwx d; setfattr -x system.posix_acl_access d; show d
        getfattr --only-values -n system.posix_acl_access d
        setfacl -m u:12345:rwx d; getfacl -cn d | setfacl --set-file=- d; show d
    """,
    "copies, links and moves": """
        touch f; setfacl -m u:12345:r,g:23456:rw f
        cp --preserve=mode f copy; show copy
        ln f hard; show hard; setfacl -m u:12346:rwx hard; show f
        mv f moved; rm hard; show moved
        mkdir d; setfacl -m d:u:12345:rwx d; cp moved d/new; show d/new
        tar --acls -cf t.tar moved d; mkdir x; tar --acls -C x -xf t.tar; show x/moved x/d x/d/new
    """,
    "trees": """
        mkdir -p a/b; touch a/f a/b/g; chmod u+x a/f
        setfacl -R -m u:12345:rwX,d:g:23456:rX a
        find a | sort | xargs getfacl -n
        setfacl -R -b a; find a | sort | xargs getfacl -n
    """,
    "set-group-id": """
        touch f; chown 12345:23456 f; chmod 2755 f
        as 12345 setfacl -m u:12346:rwx f; show f; stat -c %a f
        chmod 2755 f; as 12345 --groups 23456 setfacl -m u:12346:r f; show f; stat -c %a f
        mkdir d; chgrp 23456 d; chmod 2775 d; setfacl -m d:u:12346:rwx d
        touch d/f; mkdir d/e; show d/f d/e; stat -c '%a %g' d/f d/e
    """,
}
PRELUDE = """
exec 2>&1
show() { getfacl -n "$@"; stat -c %A "$@"; }
as() {
    uid=$1; shift
    groups="--clear-groups"
    if [ "$1" = --groups ]; then groups="--groups $2"; shift 2; fi
    setpriv --reuid "$uid" --regid "$uid" $groups "$@" && echo done || echo "failed: $?"
}
"""


def output_of(script: str, directory: Path) -> str:
    directory.chmod(0o777)
    done = subprocess.run(
        ["bash", "-c", PRELUDE + script],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout


@pytest.fixture
def local() -> Iterator[Path]:
    """A directory of the machine that other users can enter."""
    made = Path(tempfile.mkdtemp(prefix="oastfs-acls-"))
    yield made
    subprocess.run(["rm", "-rf", str(made)], check=True)


@pytest.mark.parametrize("name", SCRIPTS)
def test_as_on_a_local_filesystem(directory: Path, local: Path, name: str) -> None:
    expected = output_of(SCRIPTS[name], local)
    assert "user::" in expected, expected
    assert output_of(SCRIPTS[name], directory) == expected


def test_the_other_faces_see_the_same(directory: Path, served: Served) -> None:
    (directory / "f").write_bytes(b"x")
    with connect(served.cluster.metadata_url, caller=SUPERUSER) as client:
        path = f"/{directory.name}/f"
        client.metadata.modify_acl(SUPERUSER, path, [AclEntry(AclScope.ACCESS, AclKind.USER, 12_345, 4)])

        def shown() -> str:
            return subprocess.check_output(["getfacl", "-cn", "f"], cwd=directory, text=True)

        wait_until(lambda: "user:12345:r--" in shown(), "the mount to see the change", 10)
        subprocess.run(["setfacl", "-m", "g:23456:rw", "f"], cwd=directory, check=True)
        entries = client.metadata.get_acl(SUPERUSER, path).entries
        assert AclEntry(AclScope.ACCESS, AclKind.GROUP, 23_456, 6) in entries
        assert AclEntry(AclScope.ACCESS, AclKind.MASK, -1, 6) in entries


def test_an_acl_of_32_entries_is_the_largest(directory: Path) -> None:
    path = directory / "f"
    path.write_bytes(b"")
    people = ",".join(f"u:{number}:r" for number in range(1, 29))
    subprocess.run(["setfacl", "-m", people, str(path)], check=True)
    more = subprocess.run(["setfacl", "-m", "u:99:r", str(path)], check=False, capture_output=True)
    assert more.returncode != 0
    assert b"user:28:r--" in subprocess.check_output(["getfacl", "-cn", path.name], cwd=directory)
