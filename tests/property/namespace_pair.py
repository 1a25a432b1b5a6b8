"""A namespace on a real store beside the model of it: how both are compared."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable
from typing import Any

from hypothesis import currently_in_test_context, note
from hypothesis.stateful import RuleBasedStateMachine, invariant

from oastfs.core.errors import OastError
from oastfs.core.types import Caller, FileStatus, Flag
from oastfs.namenode.filesystem import FormatOptions, format_store
from oastfs.namenode.fsck import check
from oastfs.namenode.namespace import Namespace
from oastfs.store import open_store
from tests.property.namespace_strategies import (
    ROOT,
)
from tests.property.posix_changes import Model
from tests.property.posix_model import INLINE_LIMIT, SUPERGROUP, Entry, Node, Plan, Where

BLOCK_SIZE, REPLICATION = 4096, 2
SECOND_NS = 10**9


class NamespacePair(RuleBasedStateMachine):
    """Two filesystems, one of them real, and how to compare what they do."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.mkdtemp(prefix="oastfs-model-")
        self.store = open_store(f"lmdb://{self.directory}/store", create=True)
        options = FormatOptions(
            BLOCK_SIZE, REPLICATION, INLINE_LIMIT, superuser_uid=0, supergroup_gid=SUPERGROUP
        )
        format_store(self.store, options)
        self.now_ns = 2_000_000_000 * SECOND_NS
        self.real = Namespace(self.store, clock_ns=lambda: self.now_ns, randomness=random.Random(0))
        self.model = Model(self.now_ns)
        self.by_id: dict[int, Node] = {}
        # When it was formatted is all that the model cannot know.
        self.real.utimes(ROOT, "/", self.now_ns, self.now_ns, True, False)
        self.identify(self.model.root, self.real.chown(ROOT, "/", 0, 0).inode_id)

    def teardown(self) -> None:
        try:
            check(self.store).raise_if_problems()
        finally:
            self.store.close()
            shutil.rmtree(self.directory)

    def abandon(self) -> None:
        """The end of steps that failed."""
        self.store.close()
        shutil.rmtree(self.directory)

    # --- from recipes to paths ----------------------------------------------------------------------

    def where(self, recipe: tuple[Any, ...]) -> Where:
        kind = recipe[0]
        if kind == "names":
            return Where(recipe[1])
        if kind in ("existing", "under"):
            paths = [path for path, node in self.visible() if kind == "existing" or not node.is_file]
            return Where(paths[recipe[1] % len(paths)] + recipe[2:])
        known = [node for node in self.model.nodes if node.inode_id and not node.in_limbo]
        if kind == "id":
            # Which of its names is meant by the id alone is not specified for a file with several.
            known = [node for node in known if len(node.names) + node.limbo_names <= 1]
        return Where(recipe[2:], known[-1 - recipe[1] % len(known)])

    def visible(self) -> list[tuple[tuple[str, ...], Node]]:
        """Every path in the model, without following links."""
        found: list[tuple[tuple[str, ...], Node]] = [((), self.model.root)]
        for path, node in found:
            found += [((*path, name), node.children[name]) for name in sorted(node.children)]
        return found

    # --- comparing ------------------------------------------------------------------------------------

    def tick(self) -> None:
        """The time of the next operation, on both sides."""
        self.now_ns += 1000
        self.model.now_ns = self.now_ns

    def step(self, verb: str, caller: Caller, *arguments: Any) -> None:
        """One operation on both sides. ``Where`` arguments become paths for the real one."""
        self.tick()
        plan: Plan = getattr(self.model, verb)(caller, *arguments)
        texts = [one.text() if isinstance(one, Where) else one for one in arguments]
        self.compare(
            plan, lambda: getattr(self.real, verb)(caller, *texts), f"{verb}{tuple(texts)} by {caller.user}"
        )

    def compare(self, plan: Plan, call: Callable[[], Any], what: str) -> None:
        if currently_in_test_context():
            note(what)
        try:
            answer = call()
        except OastError as error:
            self.check_error(plan, type(error), f"{what}: {error}")
            return
        self.check_answer(plan, answer, what)

    def check_error(self, plan: Plan, error: type[OastError], what: str) -> None:
        allowed = plan.errors | plan.tolerated
        assert error in allowed, f"{what}\n{error.__name__}, but the model allows {allowed or 'success only'}"

    def check_answer(self, plan: Plan, answer: Any, what: str) -> None:
        assert not plan.errors, f"{what}\nsucceeded, but the model wants {plan.errors}"
        expected = plan.apply()
        if isinstance(expected, Entry):
            self.check_status(expected, answer, what)
        else:
            assert answer == expected, what

    def check_status(self, entry: Entry, status: FileStatus, what: str) -> None:
        node = entry.node
        self.identify(node, status.inode_id)
        if node.limbo_names:
            # The background job may change these at any time.
            assert node.nlink <= status.nlink <= node.nlink + node.limbo_names, what
            node.ctime_ns = status.ctime_ns
        wanted = {
            "mode": node.kind | node.permissions,
            "uid": node.uid,
            "gid": node.gid,
            "length": node.length,
            "nlink": status.nlink if node.limbo_names else node.nlink,
            "atime_ns": node.atime_ns,
            "mtime_ns": node.mtime_ns,
            "ctime_ns": node.ctime_ns,
            "rdev": node.rdev,
            "block_size": (node.block_size or BLOCK_SIZE) if node.is_file else 0,
            "replication": (node.replication or REPLICATION) if node.is_file else 0,
        }
        found = {name: getattr(status, name) for name in wanted}
        assert found == wanted, what
        assert bool(status.flags & Flag.XATTRS) == bool(node.xattrs), what
        assert bool(status.flags & Flag.ACL) == bool(node.acl_attributes), what
        if entry.parent is not None:
            self.identify(entry.parent, status.parent_id)
            assert (status.parent_id, status.name) == (entry.parent.inode_id, entry.name), what
        elif entry.name is None and not node.limbo_names and node.names:
            assert (self.by_id[status.parent_id], status.name) in node.names, what

    def identify(self, node: Node, inode_id: int) -> None:
        """Nodes and ids belong to each other for ever."""
        if not node.inode_id:
            assert inode_id not in self.by_id, f"id {inode_id} was given out twice"
            node.inode_id = inode_id
            self.by_id[inode_id] = node
        assert node.inode_id == inode_id

    @invariant()
    def trees_are_equal(self) -> None:
        pending = [("/", self.model.root)]
        self.check_status(Entry(self.model.root, None, ""), self.real.stat(ROOT, "/"), "/")
        while pending:
            path, directory = pending.pop()
            entries = self.all_entries(path)
            assert [entry.name for entry in entries] == sorted(directory.children, key=str.encode), path
            for entry in entries:
                child = directory.children[entry.name]
                where = f"{path.rstrip('/')}/{entry.name}"
                self.check_status(Entry(child, directory, entry.name), entry, where)
                self.check_content(where, child)
                if child.is_directory:
                    pending.append((where, child))

    def all_entries(self, path: str, page: int = 2) -> list[FileStatus]:
        entries: list[FileStatus] = []
        while True:
            listing = self.real.listdir(ROOT, path, entries[-1].name if entries else "", page)
            entries += listing.entries
            if not listing.more:
                return entries

    def check_content(self, path: str, node: Node) -> None:
        if node.is_file:
            assert self.real.open(ROOT, path).data == node.data, path
        elif node.is_symlink:
            assert self.real.readlink(ROOT, path) == node.target, path
        if node.xattrs or node.acl_attributes:
            assert self.real.get_xattrs(ROOT, path, None, False) == node.xattrs | node.acl_attributes, path
