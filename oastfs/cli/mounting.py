"""``oastfs mount`` and ``umount``."""

from __future__ import annotations

import ctypes.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

from oastfs.cli.failure import Failure
from oastfs.cli.processes import die_with_supervisor
from oastfs.core.supervision import tell_ready

MOUNT_SECONDS = 30.0
UNMOUNT_SECONDS = 30.0
FUSE_DEVICE = Path("/dev/fuse")


def why_no_mount() -> str:
    """What keeps this machine from mounting, and how to get it; '' if nothing does."""
    if not FUSE_DEVICE.exists():
        return (
            "/dev/fuse is missing; run `modprobe fuse`, "
            "or start the container with --device /dev/fuse --cap-add SYS_ADMIN"
        )
    if not os.access(FUSE_DEVICE, os.R_OK | os.W_OK):
        return f"no permission to open {FUSE_DEVICE}; run as root, or `chmod 666 {FUSE_DEVICE}` as root"
    if shutil.which("fusermount3") is None or ctypes.util.find_library("fuse3") is None:
        return "libfuse 3 is missing; install it with `apt-get install fuse3`"
    return ""


SECONDS = click.FloatRange(0, 86_400)


@click.command()
@click.argument("url")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("-f", "--foreground", is_flag=True, help="Stay in the foreground; stop with Ctrl-C.")
@click.option("--read-only", is_flag=True, help="No changes through this mount.")
@click.option("--allow-other/--no-allow-other", default=None, help="Other users as well (default: for root).")
@click.option("--cache-seconds", default=1.0, type=SECONDS, help="How long the kernel trusts its cache (1).")
@click.option("--binding", default="auto", help="How to speak to the kernel: auto, kernel or mfusepy.")
@click.option("--locks", default="shared", help="Whether flock and fcntl hold between mounts: shared, local.")
@click.option("--passthrough", is_flag=True, help="With --read-only: the kernel reads local replicas itself.")
@click.option("--log", type=click.Path(path_type=Path), help="Log file of a mount in the background.")
def mount_command(
    url: str,
    directory: Path,
    foreground: bool,
    read_only: bool,
    allow_other: bool | None,
    cache_seconds: float,
    binding: str,
    locks: str,
    passthrough: bool,
    log: Path | None,
) -> None:
    """Mount a filesystem on a directory, which is made if it does not exist.

    URL is oastfs://HOST:PORT (through namenodes) or a metadata URL such as lmdb:///srv/oast (directly;
    several servers as shards are separated by commas).
    """
    reason = why_no_mount()
    if reason:
        raise Failure(f"cannot mount: {reason}")
    if not foreground:
        _mount_in_background(directory, log)
        return
    die_with_supervisor()
    from oastfs.fuse.mount import run_mount
    from oastfs.fuse.options import MountConfig

    run_mount(
        MountConfig(
            url,
            str(directory.absolute()),
            binding=binding,
            read_only=read_only,
            allow_other=allow_other,
            attribute_seconds=cache_seconds,
            entry_seconds=cache_seconds,
            locks=locks,
            passthrough=passthrough,
            on_ready=tell_ready,
        )
    )


def _mount_in_background(directory: Path, log: Path | None) -> None:
    """Start ourselves anew with --foreground, and wait until the mount answers."""
    arguments = [*sys.argv[1:], "--foreground"]
    if log is None:
        handle, name = tempfile.mkstemp(prefix="oastfs-mount-", suffix=".log")
        os.close(handle)
        log = Path(name)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "oastfs.cli", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + MOUNT_SECONDS
    before = directory.is_mount()
    while before or not directory.is_mount():
        if process.poll() is not None:
            lines = log.read_text(errors="replace").strip().splitlines() or ["no message"]
            raise Failure(f"the mount ended: {lines[-1].removeprefix('oastfs: ')}")
        if time.monotonic() > deadline:
            process.terminate()
            raise Failure(f"not mounted within {MOUNT_SECONDS:g} s; see {log}")
        time.sleep(0.05)
        before = before and directory.is_mount() and not _answers(directory)
    process.returncode = 0  # it goes on without us: no warning that it still runs
    click.echo(
        f"mounted on {directory} (process {process.pid}, log {log}); `oastfs umount {directory}` ends it"
    )


def _answers(directory: Path) -> bool:
    """False for a mount point whose process has died (ENOTCONN)."""
    try:
        directory.stat()
    except OSError:
        return False
    return True


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("-l", "--lazy", is_flag=True, help="Detach now, even if files are open.")
def umount_command(directory: Path, lazy: bool) -> None:
    """Unmount a directory; what was written is on its way to disk before it returns."""
    unmount(directory, lazy)


def unmount(directory: Path, lazy: bool = False) -> None:
    """Unmount. Failure if it is no mount point, or busy."""
    command = ["fusermount3", "-u", *(["-z"] if lazy else []), str(directory)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=UNMOUNT_SECONDS, check=False)
    except FileNotFoundError:
        raise Failure("fusermount3 is missing; install it with `apt-get install fuse3`") from None
    except subprocess.TimeoutExpired:
        raise Failure(f"{directory} does not unmount; -l detaches it now") from None
    if done.returncode == 0:
        return
    message = done.stderr.strip().removeprefix("fusermount3: ") or f"fusermount3 failed ({done.returncode})"
    hint = (
        "; a program has files open there (`fuser -vm` tells which), -l detaches anyway"
        if "busy" in message
        else ""
    )
    raise Failure(f"{message}{hint}")
