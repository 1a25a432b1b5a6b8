"""``oastfs stats``: what a filesystem does now, refreshed in the terminal, or once for machines.

``gather.py`` asks the parts for their counters, ``rates.py`` makes rates of two looks at them, ``show.py`` is
what people see.
"""

from __future__ import annotations

import time

import click

from oastfs.cli import output
from oastfs.cli.location import LOCATION, Location


@click.command("stats")
@click.argument("location", metavar="[URL]", default="/", type=LOCATION)
@click.option("--interval", default=2.0, type=click.FloatRange(0.1, 3600), help="Seconds between looks (2).")
@click.option("--once", is_flag=True, help="Print the rates of one interval and end.")
@click.option("--count", default=0, type=click.IntRange(0), help="End after so many intervals.")
@output.json_option
def stats_command(location: Location, interval: float, once: bool, count: int, as_json: bool) -> None:
    """Watch what a filesystem does now: operations a second and their latency.

    Namenodes and datanodes are asked for their metrics, and the mounts of this machine for theirs (yours, or
    all as root). What goes past namenodes, by users in direct mode, is seen in mounts only.
    """
    from oastfs.cli.stats.gather import Gatherer
    from oastfs.cli.stats.rates import rates
    from oastfs.cli.stats.show import Screen
    from oastfs.cli.target import filesystem

    with Gatherer(filesystem(location)) as gatherer, Screen(location.address, as_json) as screen:
        before = gatherer.look()
        remaining = 1 if once else count
        while True:
            time.sleep(interval)
            now = gatherer.look()
            screen.show(rates(before, now))
            before = now
            remaining -= 1
            if remaining == 0:
                return
