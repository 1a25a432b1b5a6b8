"""Looks at several shards, for one transaction: all at the same time, and most of them never again.

The looks are of different moments. Yet a row that a shard shows, and that was made by a transaction which had
ended before the looks were asked for, was as it is shown all the time from then on: had it been changed in
between, the change would be shown. So if all rows that were used are that old, all was so at the moment when
the looks were asked for. Which transactions have ended is told by each look at a shard, for those after it.

A row that is younger than that, or one that is not there, gives no such proof: then the rows are looked at
once more, and are to be as they were. Who made a row tells that it was there all the time between the two
looks, and so at every moment when all first looks had been answered and none of the second ones was asked
for. A row that is not there tells nothing of the kind: it may have been made and removed again. So where rows
are missing, the shard is to have committed nothing in between; or, if it is the only such one, its second
look is the moment, and the others are looked at a third time. What fails all that is read in snapshots
(``consistency``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Final

from oastfs.store.run import Conflict
from oastfs.store.sql_driver.looks import Horizon, Seen
from oastfs.store.sql_driver.reading import ABSENT, NOWHERE, Used
from oastfs.store.sql_driver.server import Server
from oastfs.store.sql_driver.shards.branch import parse
from oastfs.store.sql_driver.shards.transaction import Settle, ShardedTransaction
from oastfs.store.table import Key, Table
from oastfs.store.transaction import Wanted

SETTINGS: Final = {"default_transaction_isolation": "repeatable\\ read"}
"""A look and what opens it are sent together, without BEGIN: they are to see one snapshot."""
_NUMBERS: Final = 1 << 32
"""A row has that many bits of its transaction's number."""

ByShard = dict[int, dict[Table[Any], list[Key]]]


class ShardLook:
    """What one transaction has looked at. ``open_base``: what it goes on in if it wants more."""

    def __init__(
        self, servers: Sequence[Server], settle: Settle, open_base: Callable[[], ShardedTransaction]
    ) -> None:
        self.open_base = open_base
        self._servers = servers
        self._settle = settle
        self._seen: dict[int, Seen] = {}
        self._horizons: list[Horizon] = []
        """Of each shard, as they were known before it was asked."""

    def ask(self, wanted: Wanted) -> None:
        self._horizons = [server.looks.horizon for server in self._servers]
        self._seen = self._ask((table, key) for table, keys in wanted.items() for key in keys)

    def find(self, table: Table[Any], key: Key) -> Any:
        seen = self._seen.get(table.partition(key) % len(self._servers))
        return ABSENT if seen is None else seen.rows.get(table, NOWHERE).get(key, ABSENT)

    def require_consistent(self, used: Used) -> None:
        """Raise a Conflict unless all that was used was there at one moment."""
        by_shard = self._by_shard(used)
        self._require_settled(self._seen, by_shard)
        if len(by_shard) < 2:
            return
        young = {number for number, rows in by_shard.items() if not self._is_old(number, rows)}
        if not young:
            return
        if len(young) == 1:
            # The others' rows, which have been so from the beginning, were so when those were looked at.
            again = [place for place in used if self._shard_of(*place) not in young]
        else:
            again = list(used)
        unsure = self._look_again(again)
        if len(unsure) == 1:
            # What that shard has shown now is held to: were all others so from before that until after it?
            unsure = self._look_again([place for place in used if self._shard_of(*place) not in unsure])
        if unsure:
            raise Conflict("what was not there on several shards may have been, meanwhile", at_once=True)

    def _look_again(self, places: Sequence[tuple[Table[Any], Key]]) -> set[int]:
        """Raise a Conflict unless these are as they were; the shards that may have been different in between.

        A row made by the same transaction was there all the time. One that was absent twice may have been
        made and removed again, unless nothing at all was committed on its shard.
        """
        by_shard = self._by_shard(places)
        seen = self._ask(places)
        self._require_settled(seen, by_shard)
        unsure = set()
        for place in places:
            table, key = place
            number = self._shard_of(table, key)
            first, now = self._seen[number], seen[number]
            stamp = first.stamps.get(place)
            if now.stamps.get(place) != stamp or now.rows[table][key] != first.rows[table][key]:
                raise Conflict("what was read on several shards has changed meanwhile", at_once=True)
            if stamp is None and now.snapshot != first.snapshot:
                unsure.add(number)
        return unsure

    def _is_old(self, number: int, rows: Mapping[Table[Any], list[Key]]) -> bool:
        """Whether all these were there, as they are, when it was asked."""
        seen, horizon = self._seen[number], self._horizons[number]
        if not 0 < horizon.number <= seen.horizon.number or horizon.asked_at < seen.connected_at:
            # Nothing is known yet; or it is from before the server's last start, perhaps. That may have lost
            # the numbers of transactions that came to nothing, and give them out again.
            return False
        stamps = seen.stamps
        for table, keys in rows.items():
            for key in keys:
                stamp = stamps.get((table, key))
                if stamp is None or not 0 < (horizon.number - stamp) % _NUMBERS < _NUMBERS // 2:
                    return False
        return True

    def _require_settled(self, seen: Mapping[int, Seen], by_shard: ByShard) -> None:
        """As ``ShardPart`` does: what was decided and is not seen yet makes a look too old."""
        for number, wanted in by_shard.items():
            if not (notice := seen[number].notice):
                continue
            partitions = {table.partition(key) for table, keys in wanted.items() for key in keys}
            for gid in notice.split():
                branch = parse(gid)
                if branch.changes(partitions) and self._settle(branch):
                    raise Conflict("a transaction on several shards was just being committed", at_once=True)

    def _ask(self, places: Iterable[tuple[Table[Any], Key]]) -> dict[int, Seen]:
        """Ask all shards that have some of these, and then await their answers."""
        with ExitStack() as stack:
            asked = []
            for number, wanted in self._by_shard(places).items():
                look = self._servers[number].looks.ask(wanted)
                stack.callback(look.close)
                asked.append((number, look))
            asked.sort(key=lambda one: not one[1].is_sent)
            return {number: look.wait() for number, look in asked}

    def _by_shard(self, places: Iterable[tuple[Table[Any], Key]]) -> ByShard:
        found: ByShard = {}
        for table, key in places:
            wanted = found.setdefault(self._shard_of(table, key), {})
            wanted.setdefault(table, []).append(key)
        return found

    def _shard_of(self, table: Table[Any], key: Key) -> int:
        return table.partition(key) % len(self._servers)
