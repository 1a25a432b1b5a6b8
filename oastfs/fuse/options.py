"""What a mount is told: where, how it looks, and how long the kernel may believe what it was told."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from oastfs.core.errors import InvalidArgument
from oastfs.core.secrets import without_password

BINDINGS = ("auto", "kernel", "mfusepy")
LOCKS = ("shared", "local")


@dataclass(frozen=True)
class MountConfig:
    """One mount. ``url`` is a namenode address or a metadata URL (direct mode).

    ``binding``: ``kernel`` speaks to ``/dev/fuse`` itself, ``mfusepy`` goes through libfuse 3, ``auto`` takes
    the first of them that works. ``attribute_seconds`` and ``entry_seconds``: how long the kernel may
    answer from its own cache; ``negative_seconds`` the same for names that do not exist.
    ``read_ahead_bytes`` is set where the system lets us. ``workers`` is the number of threads for what
    has to wait. ``locks``: ``shared`` ones hold between mounts, ``local`` ones are the kernel's own.
    ``passthrough``: the kernel reads replicas on this machine by itself, on a mount that is only read.
    ``on_ready`` is called once the mount answers, ``allow_other`` None means: if root mounts.
    """

    url: str
    mountpoint: str
    binding: str = "auto"
    read_only: bool = False
    allow_other: bool | None = None
    attribute_seconds: float = 1.0
    entry_seconds: float = 1.0
    negative_seconds: float = 0.0
    read_ahead_bytes: int = 4 << 20
    workers: int = 8
    locks: str = "shared"
    passthrough: bool = False
    on_ready: Callable[[], None] | None = field(default=None, compare=False)

    def check(self) -> None:
        """Raise InvalidArgument for values that make no sense."""
        if self.binding not in BINDINGS:
            raise InvalidArgument(f"a binding is one of {', '.join(BINDINGS)}, not {self.binding!r}")
        if self.locks not in LOCKS:
            raise InvalidArgument(f"locks are {' or '.join(LOCKS)}, not {self.locks!r}")
        if self.passthrough and not self.read_only:
            raise InvalidArgument("passthrough is for read-only mounts")
        if self.passthrough and self.binding == "mfusepy":
            raise InvalidArgument("passthrough needs the binding kernel")
        for name in ("attribute_seconds", "entry_seconds", "negative_seconds"):
            if not 0 <= getattr(self, name) <= 86_400:
                raise InvalidArgument(f"{name} is 0 to 86400, not {getattr(self, name)}")
        if not 1 <= self.workers <= 256:
            raise InvalidArgument(f"workers are 1 to 256, not {self.workers}")

    @property
    def shared(self) -> bool:
        """Whether users other than the one who mounts may enter."""
        return os.geteuid() == 0 if self.allow_other is None else self.allow_other

    @property
    def source(self) -> str:
        """What ``mount`` and ``df`` show as the device, and ``mount -a`` knows a line of fstab again by."""
        return without_password(self.url)
