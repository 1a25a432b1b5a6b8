"""``oastfs profile``: a flame graph of a running part."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import click

from oastfs.cli.failure import Failure, UsageFailure

if TYPE_CHECKING:
    from oastfs.diagnostics.sampler import Stacks

SLACK_SECONDS = 20.0


@click.command("profile")
@click.argument("target", metavar="PID|HOST:PORT")
@click.option("--seconds", default=10.0, type=click.FloatRange(0.1, 120), help="How long (10).")
@click.option("--rate", default=100, type=click.IntRange(1, 1000), help="Looks a second (100).")
@click.option("--wall", is_flag=True, help="Count time that threads wait as well, not the processor's only.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The file (profile-TARGET.svg).")
@click.option("--folded", "as_text", is_flag=True, help="Write stacks and microseconds as text, no picture.")
@click.option(
    "--py-spy", "by_py_spy", is_flag=True, help="Look from outside, with py-spy: any Python process."
)
def profile_command(
    target: str,
    seconds: float,
    rate: int,
    wall: bool,
    output: Path | None,
    as_text: bool,
    by_py_spy: bool,
) -> None:
    """Draw where a running part spends its time.

    The part is a process of this machine (a namenode, datanode or mount, of yours or as root), or the HTTP
    port of a namenode or datanode anywhere. It looks at itself, so no privileges are needed, and it goes on
    working.
    """
    target = target.removeprefix("http://").rstrip("/")
    if by_py_spy:
        if not target.isdecimal():
            raise UsageFailure("py-spy looks at processes: give a PID")
        stacks = _from_py_spy(int(target), seconds, rate, wall)
    elif target.isdecimal():
        from oastfs.diagnostics import door

        stacks = door.profile(int(target), seconds, rate, wall)
    else:
        stacks = _from_port(target, seconds, rate, wall)
    from oastfs.diagnostics import flame
    from oastfs.diagnostics.sampler import folded

    # From outside, a thread that is not known to wait counts as one that runs.
    what = "time" if wall else "threads at work" if by_py_spy else "processor time"
    total = sum(stacks.values())
    title = f"{target}: {total:.2f} s of {what} in {seconds:g} s"
    text = folded(stacks) if as_text else flame.draw(stacks, title)
    if output is None:
        output = Path(f"profile-{target.replace('/', '_').replace(':', '-')}.{'txt' if as_text else 'svg'}")
    if str(output) == "-":
        click.echo(text, nl=False)
        return
    output.write_text(text)
    click.echo(f"{output}: {total:.2f} s of {what} in {seconds:g} s")


def _from_port(address: str, seconds: float, rate: int, wall: bool) -> Stacks:
    from oastfs.diagnostics.sampler import unfolded

    if ":" not in address:
        raise UsageFailure(f"{address!r} is neither the id of a process nor HOST:PORT")
    url = f"http://{address}/profile?seconds={seconds:g}&rate={rate}&wall={int(wall)}"
    try:
        with urllib.request.urlopen(url, timeout=seconds + SLACK_SECONDS) as answer:
            return unfolded(answer.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            lines = error.read().decode(errors="replace").splitlines()
        raise Failure(f"{address}: {lines[0] if lines else error.reason}") from None
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise Failure(
            f"{address} does not answer ({reason}): give the HTTP port of a namenode or datanode (9870, 9864)"
        ) from None


def _from_py_spy(pid: int, seconds: float, rate: int, wall: bool) -> Stacks:
    """Stacks as py-spy sees them, with each look counted as the time between two."""
    from oastfs.diagnostics.sampler import unfolded

    beside = Path(sys.executable).with_name("py-spy")
    program = str(beside) if beside.exists() else shutil.which("py-spy")
    if program is None:
        raise Failure("py-spy is not installed: pip install 'oastfs[profile]'")
    with tempfile.TemporaryDirectory(prefix="oastfs-profile-") as directory:
        raw = Path(directory) / "raw"
        command = [program, "record", "--pid", str(pid), "--duration", str(max(1, round(seconds)))]
        command += ["--rate", str(rate), "--format", "raw", "--threads", "--output", str(raw)]
        command += ["--idle"] if wall else []
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0 or not raw.exists():
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            raise Failure(
                f"py-spy may not look at process {pid}: {lines[-1] if lines else 'no reason given'}"
            )
        return {stack: count * 1e6 / rate for stack, count in unfolded(raw.read_text()).items()}
