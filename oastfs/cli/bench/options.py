"""Options that all workloads of ``oastfs bench`` have, and the tasks that they make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from oastfs.cli.location import split
from oastfs.cli.output import json_option

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Common:
    """What ``common_options`` collects."""

    targets: tuple[str, ...]
    callers: int
    processes: int
    base: str
    seed: int
    repeat: int
    disks: tuple[str, ...]
    watch: tuple[str, ...]
    as_json: bool
    out: str | None
    html: str | None

    def chosen_targets(self) -> tuple[str, ...]:
        """The targets, or the filesystem of OASTFS_URL."""
        return self.targets or (split("/")[0],)


_COMMON: tuple[Callable[[Any], Any], ...] = (
    click.option("--target", "targets", multiple=True, help="A URL or a directory; several are compared."),
    click.option(
        "--callers", default=4, show_default=True, type=click.IntRange(1, 4096), help="Callers at once."
    ),
    click.option(
        "--processes", default=0, type=click.IntRange(0, 256), help="Processes for them (0: a core each)."
    ),
    click.option(
        "--base", default="/bench", show_default=True, help="Directory to work in; cleaned up after."
    ),
    click.option("--seed", default=1, show_default=True, help="Decides everything that is random."),
    click.option(
        "--repeat", default=1, show_default=True, type=click.IntRange(1, 100), help="Interleaved runs."
    ),
    click.option("--disk", "disks", multiple=True, help="Tell the growth of this directory on disk as well."),
    click.option("--watch", multiple=True, help="Count processes with this in their command line as well."),
    json_option,
    click.option("--out", type=click.Path(dir_okay=False), help="Write the results as JSON to a file."),
    click.option("--html", type=click.Path(dir_okay=False), help="Write a report with plots to a file."),
)
_NAMES = (
    "targets",
    "callers",
    "processes",
    "base",
    "seed",
    "repeat",
    "disks",
    "watch",
    "as_json",
    "out",
    "html",
)


def common_options(command: F) -> F:
    """Add the options; the command gets them as ``common``."""

    def with_common(**options: Any) -> Any:
        common = Common(**{name: options.pop(name) for name in _NAMES})
        return command(common=common, **options)

    with_common.__name__, with_common.__doc__ = command.__name__, command.__doc__
    # Options that the command has already are listed before these.
    with_common.__click_params__ = list(getattr(command, "__click_params__", []))  # type: ignore[attr-defined]
    decorated: Any = with_common
    params = decorated.__click_params__
    decorated.__click_params__ = []
    for option in reversed(_COMMON):
        decorated = option(decorated)
    decorated.__click_params__ += params
    return decorated  # type: ignore[no-any-return]
