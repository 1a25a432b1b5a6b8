"""Storage policies: on which kinds of storage the replicas of a file are to be, as HDFS names them.

The suite is fixed, with HDFS's ids, which fit the four bits that an inode has for them. Facts only: who has
which policy is in ``namenode/storage_policies.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from oastfs.core.types import Record

POLICY_SHIFT: Final = 8
"""The id of an inode's own policy is in bits 8 to 11 of its flags; 0: that of the directory above."""
POLICY_MASK: Final = 0xF << POLICY_SHIFT


class StoragePolicy(Record, frozen=True):
    """The replicas go to ``storage_types`` in order, the last one repeated.

    Where there is none of a type, a new block goes to ``creation_fallbacks``, a missing replica to
    ``replication_fallbacks``, in order. ``explicit``: it was set on the path or above it.
    """

    policy_id: int
    name: str
    storage_types: tuple[str, ...]
    creation_fallbacks: tuple[str, ...] = ()
    replication_fallbacks: tuple[str, ...] = ()
    explicit: bool = True

    def __str__(self) -> str:
        """As HDFS writes it."""

        def kinds(names: tuple[str, ...]) -> str:
            return f"[{', '.join(names)}]"

        return (
            f"BlockStoragePolicy{{{self.name}:{self.policy_id}, storageTypes={kinds(self.storage_types)}, "
            f"creationFallbacks={kinds(self.creation_fallbacks)}, "
            f"replicationFallbacks={kinds(self.replication_fallbacks)}}}"
        )

    def types_of(self, replication: int, held: Sequence[str] = ()) -> list[str]:
        """Storage types of the replicas that a file wants, without those that ``held`` ones are on."""
        missing = (self.storage_types + self.storage_types[-1:] * replication)[:replication]
        wanted = list(missing)
        for one in held:
            if one in wanted:
                wanted.remove(one)
        return wanted


POLICIES: Final = (
    StoragePolicy(1, "PROVIDED", ("PROVIDED", "DISK"), ("PROVIDED", "DISK"), ("PROVIDED", "DISK")),
    StoragePolicy(2, "COLD", ("ARCHIVE",)),
    StoragePolicy(5, "WARM", ("DISK", "ARCHIVE"), ("DISK", "ARCHIVE"), ("DISK", "ARCHIVE")),
    StoragePolicy(7, "HOT", ("DISK",), (), ("ARCHIVE",)),
    StoragePolicy(10, "ONE_SSD", ("SSD", "DISK"), ("SSD", "DISK"), ("SSD", "DISK")),
    StoragePolicy(12, "ALL_SSD", ("SSD",), ("DISK",), ("DISK",)),
    StoragePolicy(15, "LAZY_PERSIST", ("RAM_DISK", "DISK"), ("DISK",), ("DISK",)),
)
BY_ID: Final = {policy.policy_id: policy for policy in POLICIES}
BY_NAME: Final = {policy.name: policy for policy in POLICIES}
DEFAULT: Final = StoragePolicy(7, "HOT", ("DISK",), (), ("ARCHIVE",), explicit=False)
"""What holds where no policy was set."""
LAZY_PERSIST: Final = 15
"""HDFS lets this one be given to directories only: a file has it from the start or never."""
