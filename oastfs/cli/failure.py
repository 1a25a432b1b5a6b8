"""How the command ends when something went wrong: exit codes, and one line that says what to do."""

from __future__ import annotations

import enum
import errno
import os

import click


class ExitCode(enum.IntEnum):
    """What scripts may rely on."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    PARTIAL = 3
    """Several items were asked for; some failed (each with its line), the others are done."""
    INTERRUPTED = 130
    BROKEN_PIPE = 141


class Failure(click.ClickException):
    """A failure of the command itself; the message is the one line that is shown."""

    exit_code = ExitCode.FAILED


class UsageFailure(click.UsageError):
    """The command was called in a way that cannot work."""


HINTS = {
    "Unreachable": "is it running? `oastfs up STORE` starts one",
}


def describe(error: BaseException) -> tuple[int, str]:
    """The exit code for ``error`` and the line to show ('' for none)."""
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code, ""
    if isinstance(error, SystemExit):
        return (error.code if isinstance(error.code, int) else ExitCode.FAILED), ""
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return ExitCode.INTERRUPTED, ""
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx else "oastfs"
        message = " ".join(error.format_message().split())
        return ExitCode.USAGE, f"{command}: {message.rstrip('.')} (see `{command} --help`)"
    if isinstance(error, click.ClickException):
        return error.exit_code, f"oastfs: {error.format_message()}"
    return ExitCode.FAILED, f"oastfs: {explain(error)}"


def explain(error: BaseException) -> str:
    """One line for an error of the filesystem, of this machine, or of ours."""
    if isinstance(error, OSError):
        text = _explain_os_error(error)
        hint = HINTS.get(type(error).__name__)
        return f"{text}; {hint}" if hint else text
    text = " ".join(str(error).split()) or type(error).__name__
    return f"unexpected {type(error).__name__}: {text} (OASTFS_DEBUG=1 shows where)"


def _explain_os_error(error: OSError) -> str:
    own = getattr(error, "message", None)
    if own is not None:  # one of core.errors
        text = " ".join(str(own).split()).rstrip(".")
    else:
        text = (error.strerror or str(error) or type(error).__name__).rstrip(".")
        if error.errno == errno.ENOSPC:
            text += ": the local disk is full"
    if error.filename is None:
        return text
    return f"{os.fsdecode(error.filename)}: {text}"
