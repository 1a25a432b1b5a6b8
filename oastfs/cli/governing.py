"""``oastfs quota``, ``storagepolicy`` and ``safemode``: what administrators set on a namespace."""

from __future__ import annotations

import time
from typing import Any

import click

from oastfs.cli import output
from oastfs.cli.failure import Failure, UsageFailure
from oastfs.cli.items import Tally
from oastfs.cli.location import LOCATION, Location
from oastfs.cli.sizes import SIZE
from oastfs.cli.target import expand, filesystem
from oastfs.core.limits import QUOTA_NONE, QUOTA_STORAGE_TYPES, QUOTA_UNCHANGED
from oastfs.core.storage_policies import BY_NAME, POLICIES, StoragePolicy
from oastfs.core.types import QuotaUsage

POLL_SECONDS = 1.0

_locations = click.argument("locations", metavar="URL...", nargs=-1, required=True, type=LOCATION)
_location = click.argument("location", metavar="[URL]", default="/", type=LOCATION)
_type = click.option(
    "--type",
    "storage_type",
    type=click.Choice(QUOTA_STORAGE_TYPES, case_sensitive=False),
    help="Space on storage of this type: kept and shown, but not enforced.",
)


# --- quotas -----------------------------------------------------------------------------------------


@click.group("quota")
def quota_command() -> None:
    """Limit the names and the space of trees."""


@quota_command.command("get", context_settings={"help_option_names": ["--help"]})
@_locations
@output.human_option
@output.json_option
def quota_get(locations: tuple[Location, ...], human: bool, as_json: bool) -> None:
    """Show the quotas of directories, and what is taken of them.

    Every name in the tree counts, and the directory itself; space is with replicas.
    """
    tally = Tally()
    found: list[tuple[str, QuotaUsage]] = []
    for location in expand(locations):
        with tally.item():
            fs = filesystem(location)
            found.append((location.path, fs.metadata.quota_usage(fs.caller, location.path)))
    if as_json:
        output.print_json([_usage_record(path, usage) for path, usage in found])
    elif found:
        headers = ("names", "at most", "space", "at most", "path")
        rows = [_usage_row(path, usage, human) for path, usage in found]
        output.print_table(headers, rows, right=range(4))
        for path, usage in found:
            for one in usage.type_quotas:
                used, limit = (output.size_text(n, human) for n in (one.consumed, one.limit))
                click.echo(f"{output.printable(path)}: {used} of {limit} on {one.storage_type}")
    tally.finish()


def _usage_record(path: str, usage: QuotaUsage) -> dict[str, Any]:
    return {
        "path": path,
        "names": usage.names,
        "name_quota": None if usage.name_quota < 0 else usage.name_quota,
        "space": usage.space,
        "space_quota": None if usage.space_quota < 0 else usage.space_quota,
        "types": {one.storage_type: {"quota": one.limit, "space": one.consumed} for one in usage.type_quotas},
    }


def _usage_row(path: str, usage: QuotaUsage, human: bool) -> list[str]:
    return [
        str(usage.names),
        "none" if usage.name_quota < 0 else str(usage.name_quota),
        output.size_text(usage.space, human),
        "none" if usage.space_quota < 0 else output.size_text(usage.space_quota, human),
        output.printable(path),
    ]


@quota_command.command("set")
@_locations
@click.option("--names", type=click.IntRange(1), help="Most names in the tree, the directory included.")
@click.option("--space", type=SIZE, help="Most bytes, with replicas; such as 100G.")
@_type
def quota_set(
    locations: tuple[Location, ...], names: int | None, space: int | None, storage_type: str | None
) -> None:
    """Set quotas of directories; what is not named stays as it is. For the superuser."""
    if names is None and space is None:
        raise UsageFailure("give --names, --space or both")
    if storage_type and (space is None or names is not None):
        raise UsageFailure("--type is for --space alone")
    unchanged = QUOTA_UNCHANGED
    _set_quotas(
        locations, unchanged if names is None else names, unchanged if space is None else space, storage_type
    )


@quota_command.command("clear")
@_locations
@click.option("--names", is_flag=True, help="Only the quota of names.")
@click.option("--space", is_flag=True, help="Only the quota of space.")
@_type
def quota_clear(locations: tuple[Location, ...], names: bool, space: bool, storage_type: str | None) -> None:
    """Take the quotas of directories away. For the superuser."""
    both = not names and not space
    _set_quotas(
        locations,
        QUOTA_NONE if names or both else QUOTA_UNCHANGED,
        QUOTA_NONE if space or both else QUOTA_UNCHANGED,
        storage_type,
    )


def _set_quotas(locations: tuple[Location, ...], names: int, space: int, storage_type: str | None) -> None:
    tally = Tally()
    for location in expand(locations):
        with tally.item():
            fs = filesystem(location)
            fs.metadata.set_quota(fs.caller, location.path, names, space, (storage_type or "").upper())
    tally.finish()


# --- storage policies -------------------------------------------------------------------------------


@click.group("storagepolicy")
def storagepolicy_command() -> None:
    """Say on which kinds of storage files are to be."""


@storagepolicy_command.command("ls")
@output.json_option
def storagepolicy_ls(as_json: bool) -> None:
    """List the policies."""
    if as_json:
        output.print_json([_policy_record(policy) for policy in POLICIES])
        return
    rows = [[one.name, str(one.policy_id), *_kinds(one)] for one in POLICIES]
    output.print_table(("policy", "id", "replicas on", "else", "later else"), rows, right=(1,))


def _kinds(policy: StoragePolicy) -> list[str]:
    groups = (policy.storage_types, policy.creation_fallbacks, policy.replication_fallbacks)
    return [", ".join(group) or "-" for group in groups]


def _policy_record(policy: StoragePolicy) -> dict[str, Any]:
    return {
        "id": policy.policy_id,
        "name": policy.name,
        "storage_types": list(policy.storage_types),
        "creation_fallbacks": list(policy.creation_fallbacks),
        "replication_fallbacks": list(policy.replication_fallbacks),
    }


@storagepolicy_command.command("get")
@_locations
@output.json_option
def storagepolicy_get(locations: tuple[Location, ...], as_json: bool) -> None:
    """Show which policy holds: a path's own, or that of the nearest directory above that has one."""
    tally = Tally()
    found: list[tuple[str, StoragePolicy]] = []
    for location in expand(locations):
        with tally.item():
            fs = filesystem(location)
            found.append((location.path, fs.metadata.get_storage_policy(fs.caller, location.path)))
    if as_json:
        output.print_json([{"path": path, "set": one.explicit, **_policy_record(one)} for path, one in found])
    elif found:
        rows = [
            [one.name if one.explicit else f"{one.name} (default)", output.printable(path)]
            for path, one in found
        ]
        output.print_table(("policy", "path"), rows)
    tally.finish()


@storagepolicy_command.command("set")
@click.argument("policy", type=click.Choice(list(BY_NAME), case_sensitive=False))
@_locations
def storagepolicy_set(policy: str, locations: tuple[Location, ...]) -> None:
    """Set the policy of files, or of all that will be written in directories."""
    _set_policies(locations, policy.upper())


@storagepolicy_command.command("unset")
@_locations
def storagepolicy_unset(locations: tuple[Location, ...]) -> None:
    """Take the policy of files and directories away: that of the directory above holds."""
    _set_policies(locations, "")


def _set_policies(locations: tuple[Location, ...], policy: str) -> None:
    tally = Tally()
    for location in expand(locations):
        with tally.item():
            fs = filesystem(location)
            fs.metadata.set_storage_policy(fs.caller, location.path, policy)
    tally.finish()


# --- safe mode --------------------------------------------------------------------------------------


@click.group("safemode")
def safemode_command() -> None:
    """Hold up every change, while reads go on."""


@safemode_command.command("get")
@_location
def safemode_get(location: Location) -> None:
    """Say whether it is on."""
    _say(_safe_mode(location, "get"))


@safemode_command.command("enter")
@_location
def safemode_enter(location: Location) -> None:
    """Hold up changes from now on. For the superuser."""
    _say(_safe_mode(location, "enter"))


@safemode_command.command("leave")
@_location
def safemode_leave(location: Location) -> None:
    """Let changes go on. For the superuser."""
    _say(_safe_mode(location, "leave"))


@safemode_command.command("wait")
@_location
@click.option("--seconds", type=click.FloatRange(0), help="Give up after so long (never).")
def safemode_wait(location: Location, seconds: float | None) -> None:
    """Wait until it is off."""
    deadline = None if seconds is None else time.monotonic() + seconds
    while _safe_mode(location, "get"):
        if deadline is not None and time.monotonic() >= deadline:
            raise Failure(f"safe mode is still on after {seconds:g} s")
        time.sleep(
            POLL_SECONDS if deadline is None else max(0.0, min(POLL_SECONDS, deadline - time.monotonic()))
        )
    _say(False)


def _safe_mode(location: Location, action: str) -> bool:
    fs = filesystem(location)
    return fs.metadata.safe_mode(fs.caller, action)


def _say(on: bool) -> None:
    click.echo(f"safe mode is {'on' if on else 'off'}")
