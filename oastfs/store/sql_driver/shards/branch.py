"""Names of prepared transactions: what anybody who finds one must know to settle it.

``oastfs:STORE:KEY:COORDINATOR:SHARD:PARTITIONS``. The key is that of the decision, which is on the
coordinator, one of the shards. The partitions are those whose rows change on this shard, so that who reads
others need not care; ``*`` if they are many.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_PREFIX: Final = "oastfs"
_PARTITIONS_MAX: Final = 40
"""PostgreSQL takes names of up to 199 bytes; a partition is three of them."""


@dataclass(frozen=True)
class Branch:
    """One shard's part of a transaction on several."""

    store_id: str
    key: str
    coordinator: int
    shard: int
    partitions: frozenset[int] | None
    """None: any."""

    @property
    def gid(self) -> str:
        """Its name."""
        changed = "*"
        if self.partitions is not None and len(self.partitions) <= _PARTITIONS_MAX:
            changed = "".join(f"{one:03x}" for one in sorted(self.partitions))
        return f"{prefix(self.store_id)}{self.key}:{self.coordinator}:{self.shard}:{changed}"

    def changes(self, partitions: Iterable[int] | None) -> bool:
        """Whether it changes rows in any of these partitions (None: all)."""
        if self.partitions is None or partitions is None:
            return self.partitions is None or bool(self.partitions)
        return not self.partitions.isdisjoint(partitions)


def prefix(store_id: str) -> str:
    """How the names of a store's prepared transactions begin."""
    return f"{_PREFIX}:{store_id}:"


def parse(gid: str) -> Branch:
    """The branch of a name of ours."""
    _, store_id, key, coordinator, shard, changed = gid.split(":")
    partitions = None
    if changed != "*":
        partitions = frozenset(int(changed[at : at + 3], 16) for at in range(0, len(changed), 3))
    return Branch(store_id, key, int(coordinator), int(shard), partitions)
