"""``oastfs bench``: what filesystems do on this machine, and what that means for larger ones.

Names of single operations are not commands of their own: several may be given at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final

import click

COMMANDS: Final = {
    "spotify": "running",
    "smallfiles": "running",
    "stream": "running",
    "mdtest": "running",
    "latency": "running",
    "scale": "scaling",
    "failover": "failing_over",
    "plan": "planning",
    "report": "reporting",
}
"""Commands, and the modules of this package where they are."""
_DEFAULT: Final = "run"


class BenchGroup(click.Group):
    """Takes whatever is not the name of a command for names of single operations."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = "running" if cmd_name == _DEFAULT else COMMANDS.get(cmd_name)
        if module is None:
            return None
        command = getattr(import_module(f"{__name__}.{module}"), f"{cmd_name}_command")
        assert isinstance(command, click.Command)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in COMMANDS and args[0] not in ctx.help_option_names):
            args = [_DEFAULT, *args]
        return super().parse_args(ctx, args)


@click.group(
    "bench",
    cls=BenchGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    subcommand_metavar="WORKLOAD... [OPTIONS]",
)
def bench_command() -> None:
    """Measure filesystems, one or several side by side.

    WORKLOAD is one of the commands below, or one or several of

    \b
    create write mkdir stat open read read-many list rename chmod remove stream-write stream-read

    (all but the streams if none is named), each on files of the callers' own.

    A target is oastfs://HOST:PORT, a metadata URL (lmdb:///srv/oast), hdfs:// of any make, or a directory:
    any mount, or a local disk. Several targets take turns.
    """
