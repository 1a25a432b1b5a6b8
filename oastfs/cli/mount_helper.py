"""``mount.oastfs``: what mount(8), and so fstab and systemd, call to mount a filesystem of type ``oastfs``.

mount(8) looks for it in /sbin. It takes the arguments that mount(8) gives its helpers, makes an
``oastfs mount`` of them, and answers with mount(8)'s exit codes.
"""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from io import StringIO
from typing import Final

from oastfs.cli import main as run_command
from oastfs.cli.failure import ExitCode

WRONG_USE, FAILED = 1, 32
"""Exit codes of mount(8)."""

_VALUES: Final = {
    "cache_seconds": "--cache-seconds",
    "binding": "--binding",
    "locks": "--locks",
    "log": "--log",
}
_FLAGS: Final = {
    "ro": "--read-only",
    "passthrough": "--passthrough",
    "allow_other": "--allow-other",
    "noallow_other": "--no-allow-other",
}
_ALREADY_SO: Final = frozenset(
    {"defaults", "rw", "nosuid", "nodev", "noatime", "exec", "async", "default_permissions"}
    # What is for mount(8) and systemd, who pass it on:
    | {"auto", "noauto", "nofail", "_netdev", "user", "users", "owner", "group", "nouser"}
)
_OF_OTHERS: Final = ("x-", "X-", "comment=")
_USAGE: Final = "usage: mount.oastfs URL DIRECTORY [-fnsv] [-o OPTION[,OPTION]...]"


def translate(arguments: list[str]) -> list[str] | None:
    """The arguments of ``oastfs`` for those of a helper; None if mount(8) wants nothing done (``-f``).

    Raises ValueError, with what is wrong.
    """
    places: list[str] = []
    options: list[str] = []
    pretend = sloppy = False
    rest = iter(arguments)
    for argument in rest:
        if not argument.startswith("-") or argument == "-":
            places.append(argument)
        elif argument in ("-o", "-t", "-N"):
            value = next(rest, None)
            if value is None:
                raise ValueError(f"{argument} wants a value")
            if argument == "-N":
                raise ValueError("a mount in another namespace is not supported")
            options += _split(value) if argument == "-o" else []
        elif set(argument[1:]) <= set("fnsv"):
            pretend = pretend or "f" in argument
            sloppy = sloppy or "s" in argument
        else:
            raise ValueError(f"unknown argument {argument}")
    if len(places) != 2:
        raise ValueError("two places are needed, what to mount and where")
    settings = [setting for option in options for setting in _setting(option, sloppy)]
    return None if pretend else ["mount", *settings, *places]


def _split(value: str) -> list[str]:
    return [option for option in value.split(",") if option]


def _setting(option: str, sloppy: bool) -> list[str]:
    name, equals, value = option.partition("=")
    if option in _ALREADY_SO or option.startswith(_OF_OTHERS):
        return []
    if option in _FLAGS:
        return [_FLAGS[option]]
    if name in _VALUES and equals:
        return [f"{_VALUES[name]}={value}"]
    if option == "remount":
        raise ValueError("it cannot be mounted anew with other options: unmount it first")
    if sloppy:
        return []
    raise ValueError(f"option {option} is not supported")


def main() -> None:
    """The command."""
    try:
        arguments = translate(sys.argv[1:])
    except ValueError as error:
        print(f"mount.oastfs: {error} ({_USAGE})", file=sys.stderr)
        sys.exit(WRONG_USE)
    if arguments is None:
        return
    sys.argv[1:] = arguments  # a mount in the background starts itself anew with them
    try:
        with redirect_stdout(StringIO()):  # mount(8) says nothing when all is well
            run_command(arguments)
    except SystemExit as end:
        if end.code:
            sys.exit(WRONG_USE if end.code == ExitCode.USAGE else FAILED)


if __name__ == "__main__":
    main()
