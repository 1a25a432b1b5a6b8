"""The mount's logic: one object with an operation for each request of the kernel, in inodes and handles.

Bindings translate to and from it and know no more. Operations that may wait are generators (``effects``).
"""

from __future__ import annotations

from oastfs.client.filesystem import Filesystem
from oastfs.fuse.attributes import Attributes
from oastfs.fuse.callers import Callers
from oastfs.fuse.directories import Directories
from oastfs.fuse.files import Files
from oastfs.fuse.locks import Locks
from oastfs.fuse.names import Names
from oastfs.fuse.options import MountConfig
from oastfs.fuse.shared import Shared
from oastfs.fuse.xattrs import Xattrs


class InodeFilesystem:
    """The parts of the logic, on one filesystem."""

    def __init__(self, filesystem: Filesystem, config: MountConfig) -> None:
        self.shared = Shared(filesystem, config)
        self.metadata = self.shared.metadata
        self.handles = self.shared.handles
        self.callers = Callers()
        self.names = Names(self.shared)
        self.attributes = Attributes(self.shared)
        self.files = Files(self.shared, self.attributes)
        self.locks = Locks(self.shared, self.files) if config.locks == "shared" else None
        self.directories = Directories(self.metadata)
        self.xattrs = Xattrs(self.shared)
