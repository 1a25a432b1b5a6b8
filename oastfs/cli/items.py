"""Commands that take several items: each failure has its line, the others go on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import click

from oastfs.cli.failure import ExitCode, explain
from oastfs.core.errors import ConnectionLost


class Tally:
    """Counts what was done and what failed, from any thread. ``finish`` sets the exit code."""

    def __init__(self) -> None:
        self.done = 0
        self.failed = 0
        self._command = click.get_current_context().command_path
        self._lock = threading.Lock()

    @contextmanager
    def item(self) -> Iterator[None]:
        """One item; an error in it is reported, not raised. A lost connection ends the command."""
        try:
            yield
            self.succeed()
        except (BrokenPipeError, ConnectionLost):
            raise
        except OSError as error:
            self.fail(error)

    def succeed(self, count: int = 1) -> None:
        """Count what was done."""
        with self._lock:
            self.done += count

    def fail(self, error: BaseException) -> None:
        """Report one failure."""
        with self._lock:
            self.failed += 1
            click.echo(f"{self._command}: {explain(error)}", err=True)

    def finish(self) -> None:
        """Exit with FAILED if nothing succeeded, PARTIAL if some did; return if all did."""
        if self.failed:
            raise click.exceptions.Exit(ExitCode.PARTIAL if self.done else ExitCode.FAILED)
