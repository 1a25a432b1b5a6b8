"""The `oastfs` command: the composition root, which knows every part and is known by none.

Start-up is part of its use (shell completion runs it at each key): modules of commands are imported when
their command runs, and the table below is all that ``oastfs --help`` needs.
"""

from __future__ import annotations

import os
import sys
from typing import Any, Final, NamedTuple

import click

from oastfs.cli.failure import ExitCode, describe


class Entry(NamedTuple):
    """Where a command is defined, and its line in the overview."""

    module: str
    section: str
    summary: str


RUN, FILES, ADMIN = "Run a filesystem", "Files and directories", "Look after it"

COMMANDS: Final[dict[str, Entry]] = {
    "up": Entry("up", RUN, "Run a whole filesystem in the foreground."),
    "namenode": Entry("servers", RUN, "Run one namenode."),
    "datanode": Entry("servers", RUN, "Run one datanode."),
    "mount": Entry("mounting", RUN, "Mount a filesystem on a directory."),
    "umount": Entry("mounting", RUN, "Unmount a directory."),
    "format": Entry("admin", RUN, "Make a new, empty filesystem."),
    "ls": Entry("listing", FILES, "List directories."),
    "tree": Entry("listing", FILES, "Show a tree of directories."),
    "find": Entry("finding", FILES, "Find files by name, type, size or age."),
    "stat": Entry("inspecting", FILES, "Show the attributes of files."),
    "du": Entry("inspecting", FILES, "Show the space that trees take."),
    "df": Entry("inspecting", FILES, "Show the space of the filesystem."),
    "cat": Entry("content", FILES, "Write the content of files to the standard output."),
    "head": Entry("content", FILES, "Show the beginning of files."),
    "tail": Entry("content", FILES, "Show the end of files, and follow it."),
    "put": Entry("copying", FILES, "Copy local files into the filesystem."),
    "get": Entry("copying", FILES, "Copy files out of the filesystem."),
    "cp": Entry("copying", FILES, "Copy files within the filesystem."),
    "mv": Entry("changing", FILES, "Move or rename files."),
    "rm": Entry("changing", FILES, "Remove files and trees."),
    "mkdir": Entry("changing", FILES, "Make directories."),
    "touch": Entry("changing", FILES, "Make empty files, or set the times of existing ones."),
    "ln": Entry("changing", FILES, "Make hard or symbolic links."),
    "chmod": Entry("attributes", FILES, "Set permission bits."),
    "chown": Entry("attributes", FILES, "Set owner and group."),
    "setrep": Entry("attributes", FILES, "Set the number of replicas of files."),
    "xattr": Entry("attributes", FILES, "Read and set extended attributes."),
    "status": Entry("admin", ADMIN, "Show the state of the filesystem and its datanodes."),
    "namenodes": Entry("admin", ADMIN, "List the namenodes, and which of them leads."),
    "datanodes": Entry("admin", ADMIN, "List the datanodes."),
    "quota": Entry("governing", ADMIN, "Limit the names and the space of trees."),
    "storagepolicy": Entry("governing", ADMIN, "Say on which kinds of storage files are to be."),
    "safemode": Entry("governing", ADMIN, "Hold up every change, while reads go on."),
    "fsck": Entry("admin", ADMIN, "Check every invariant, and repair on request."),
    "metadata": Entry("metadata", ADMIN, "Export, import and copy metadata stores."),
    "query": Entry("querying", ADMIN, "Ask the namespace questions in SQL."),
    "bench": Entry("bench", ADMIN, "Measure filesystems, one or several side by side."),
    "stats": Entry("stats", ADMIN, "Watch what a filesystem does now."),
    "profile": Entry("profiling", ADMIN, "Draw where a running part spends its time."),
    "completion": Entry("completion", ADMIN, "Print the completion script of a shell."),
    "version": Entry("completion", ADMIN, "Print the version."),
}


class LazyGroup(click.Group):
    """A group that imports a command's module only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        from importlib import import_module

        module = import_module(f"oastfs.cli.{entry.module}")
        command = getattr(module, f"{cmd_name}_command")
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # The interpreter would flush stdout at exit and complain of the same pipe again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise click.exceptions.Exit(ExitCode.BROKEN_PIPE) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section in (RUN, FILES, ADMIN):
            rows = [(name, entry.summary) for name, entry in COMMANDS.items() if entry.section == section]
            with formatter.section(section):
                formatter.write_dl(rows)


EPILOG = """\b
A URL names a filesystem and a path in it:
  oastfs://HOST:PORT[,HOST:PORT]/path   through namenodes
  lmdb:///srv/oast!/path                straight to an embedded store
  /path                                 in the filesystem that OASTFS_URL names

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 some of the items failed.
"""


@click.group(cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """OastFS: one filesystem as a mount, as hdfs://, as fsspec URLs and by this command."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command and exit: errors are one line on stderr (OASTFS_DEBUG=1 shows the traceback)."""
    try:
        code = cli.main(args=arguments, prog_name="oastfs", standalone_mode=False)
        sys.stdout.flush()
    except BaseException as error:
        if os.environ.get("OASTFS_DEBUG") and isinstance(error, Exception):
            raise
        code, line = describe(error)
        if line:
            print(line, file=sys.stderr)
    sys.exit(code if isinstance(code, int) else 0)
