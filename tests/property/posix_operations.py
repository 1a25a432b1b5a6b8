"""Verbs on the in-memory model: which errors each must give, or what it must change and answer."""

from __future__ import annotations

import stat
from collections.abc import Callable
from typing import Any

from oastfs.core.errors import (
    AlreadyExists,
    InlineLimitExceeded,
    InvalidArgument,
    IsADirectory,
    LeaseConflict,
    LeaseExpired,
    NotADirectory,
    NotEmpty,
    NotFound,
    NotPermitted,
    PermissionDenied,
)
from oastfs.core.types import Caller
from tests.property.posix_model import (
    EXECUTE,
    INLINE_LIMIT,
    LEASE_HARD_LIMIT_NS,
    READ,
    WRITE,
    Entry,
    Errors,
    Node,
    Plan,
    Refusal,
    Slot,
    Tree,
    Where,
)


def refusing(operation: Callable[..., Plan]) -> Callable[..., Plan]:
    """A Refusal on the way is a plan with these errors."""

    def planned(*arguments: Any) -> Plan:
        try:
            return operation(*arguments)
        except Refusal as refusal:
            return Plan(refusal.errors)

    return planned


class Operations(Tree):
    """Every verb plans what ought to happen; results are Entry, Node, bytes, str, dict or None."""

    # --- reading --------------------------------------------------------------------------------

    @refusing
    def stat(self, caller: Caller, where: Where, follow: bool) -> Plan:
        entry = self.resolve(caller, where, follow)
        return Plan(apply=lambda: entry)

    @refusing
    def readlink(self, caller: Caller, where: Where) -> Plan:
        node = self.resolve(caller, where, False).node
        return Plan(apply=lambda: node.target) if node.is_symlink else Plan({InvalidArgument})

    @refusing
    def open(self, caller: Caller, where: Where) -> Plan:
        node = self.resolve(caller, where).node
        errors = self._file_errors(node)
        if not self.may(caller, node, READ):
            errors.add(PermissionDenied)
        return Plan(errors, lambda: node.data)

    @refusing
    def listdir(self, caller: Caller, where: Where) -> Plan:
        entry = self.resolve(caller, where)
        node = entry.node
        if not node.is_directory:
            return Plan(apply=lambda: [entry])
        if not self.may(caller, node, READ):
            return Plan({PermissionDenied})
        ordered = sorted(node.children.items(), key=lambda item: item[0].encode())
        return Plan(apply=lambda: [Entry(child, node, name) for name, child in ordered])

    @refusing
    def access(self, caller: Caller, where: Where, mask: int) -> Plan:
        node = self.resolve(caller, where).node
        allowed = self.may(caller, node, mask)
        if mask & EXECUTE and not node.is_directory and not node.permissions & 0o111:
            allowed = False
        return Plan() if allowed else Plan({PermissionDenied})

    @refusing
    def path_of(self, caller: Caller, where: Where) -> Plan:
        """Answered as the paths that may come."""
        node = self.resolve(caller, where).node
        return Plan(apply=lambda: node)

    # --- making ---------------------------------------------------------------------------------

    @refusing
    def mkdirs(self, caller: Caller, where: Where, mode: int, parents: bool, exist_ok: bool) -> Plan:
        if where.is_root:
            return Plan(apply=lambda: Entry(self.root, None, "")) if exist_ok else Plan({AlreadyExists})
        missing, base = self._missing(caller, where, parents)
        if not missing:
            slot = self.slot(caller, where)
            if slot.node is not None:
                return self._existing_directory(caller, where, slot.node, exist_ok)
        errors = self.write_errors(caller, base)

        def apply() -> Entry:
            directory = self._make_missing(caller, base, missing, mode)
            node = self.new_node(caller, directory, stat.S_IFDIR, mode)
            return self.put(directory, where.names[-1], node)

        return Plan(errors, apply)

    @refusing
    def mknod(self, caller: Caller, where: Where, mode: int, rdev: int) -> Plan:
        kind = stat.S_IFMT(mode) or stat.S_IFREG
        device = kind in (stat.S_IFCHR, stat.S_IFBLK)
        number = rdev if device else 0
        errors: Errors = {NotPermitted} if device and not self.is_superuser(caller) else set()
        try:
            slot = self.slot(caller, where)
        except Refusal as refusal:
            return Plan(errors | refusal.errors)
        errors |= self._new_errors(caller, slot)

        def apply() -> Entry:
            node = self.new_node(caller, slot.parent, kind, stat.S_IMODE(mode), rdev=number)
            return self.put(slot.parent, slot.name, node)

        return Plan(errors, apply)

    @refusing
    def symlink(self, caller: Caller, where: Where, target: str, parents: bool) -> Plan:
        if where.is_root:
            return Plan({InvalidArgument, AlreadyExists})
        missing, base = self._missing(caller, where, parents)
        if missing:
            errors = self.write_errors(caller, base)
        else:
            slot = self.slot(caller, where)
            base, errors = slot.parent, self._new_errors(caller, slot)

        def apply() -> Entry:
            directory = self._make_missing(caller, base, missing, 0o755, 0o777)
            node = self.new_node(caller, directory, stat.S_IFLNK, 0o777, target=target)
            return self.put(directory, where.names[-1], node)

        return Plan(errors, apply)

    @refusing
    def link(self, caller: Caller, where: Where, new: Where) -> Plan:
        errors: Errors = set()
        node, slot = None, None
        try:
            node = self.resolve(caller, where, False).node
            if node.is_directory or not node.names:
                errors.add(NotPermitted)
        except Refusal as refusal:
            errors |= refusal.errors
        try:
            slot = self.slot(caller, new)
            errors |= self._new_errors(caller, slot)
        except Refusal as refusal:
            errors |= refusal.errors

        def apply() -> Entry:
            assert node is not None and slot is not None
            node.ctime_ns = self.now_ns
            return self.put(slot.parent, slot.name, node)

        return Plan(errors, apply)

    # --- writing files -----------------------------------------------------------------------------

    @refusing
    def create(
        self,
        caller: Caller,
        where: Where,
        mode: int,
        overwrite: bool,
        parents: bool,
        holder: str,
        replication: int,
        block_size: int,
    ) -> Plan:
        def apply(entry: Entry, new: bool) -> Entry:
            node = entry.node
            if new:
                node.replication, node.block_size = replication, block_size
            if holder:
                # Those that stood against it are past their time, or the plan would have failed.
                node.writers = {holder: True}
                self.leases[holder] = self.now_ns
            return entry

        return self._whole_file(caller, where, b"", mode, overwrite, parents, holder, apply)

    @refusing
    def write_file(
        self, caller: Caller, where: Where, data: bytes, mode: int, overwrite: bool, parents: bool
    ) -> Plan:
        if len(data) > INLINE_LIMIT:
            return Plan({InlineLimitExceeded})
        return self._whole_file(caller, where, data, mode, overwrite, parents, "", lambda entry, _: entry)

    @refusing
    def write_inline(
        self,
        caller: Caller,
        where: Where,
        patches: list[tuple[int, bytes]],
        length: int,
        holder: str,
        release: bool,
    ) -> Plan:
        entry = self.resolve(caller, where)
        node = entry.node
        errors = self._file_errors(node)
        if not errors and holder not in node.writers:
            errors |= self._content_errors(caller, node, holder, False)
        ends = [offset + len(data) for offset, data in patches if data]
        after = max([len(node.data), *ends]) if length == -1 else length
        if max([after, *ends]) > INLINE_LIMIT:
            errors.add(InlineLimitExceeded)

        def apply() -> Entry:
            data = bytearray(node.data.ljust(max([after, *ends]), b"\0"))
            for offset, piece in patches:
                data[offset : offset + len(piece)] = piece
            node.data = bytes(data[:after])
            node.touch(self.now_ns)
            if release:
                self._release(node, holder)
                node.in_limbo = node.gone
            return entry

        return Plan(errors, apply)

    @refusing
    def truncate(self, caller: Caller, where: Where, length: int) -> Plan:
        entry = self.resolve(caller, where)
        node = entry.node
        errors = self._file_errors(node)
        if not errors:
            errors |= self._content_errors(caller, node, "", False)

        def apply() -> Entry:
            node.data = node.data[:length].ljust(length, b"\0")
            node.touch(self.now_ns)
            return entry

        return Plan(errors, apply)

    @refusing
    def append(self, caller: Caller, where: Where, holder: str) -> Plan:
        entry = self.resolve(caller, where)
        node = entry.node
        errors = self._file_errors(node) or self._content_errors(caller, node, holder, True)

        def apply() -> Entry:
            node.writers = {holder: True}
            self.leases[holder] = self.now_ns
            return entry

        return Plan(errors, apply)

    @refusing
    def complete(self, caller: Caller, where: Where, holder: str) -> Plan:
        """Without blocks. Who does not write the file is refused, or told that all is done."""
        entry = self.resolve(caller, where)
        node = entry.node
        errors = self._file_errors(node)
        if holder not in node.writers:
            return Plan(errors, lambda: entry, {LeaseExpired})

        def apply() -> Entry:
            self._release(node, holder)
            node.in_limbo = node.gone
            return entry

        return Plan(errors, apply)

    def forget(self, nodes: list[Node], holder: str) -> None:
        """Never refused."""
        for node in nodes:
            if not node.names and node is not self.root:
                self._release(node, holder)

    def expire(self) -> None:
        """Nameless files are let go when those who held them are silent past the hard limit."""
        for node in self.nodes:
            if node.gone or node.names or node is self.root:
                continue
            for holder in list(node.writers):
                if self.now_ns - self.leases[holder] > LEASE_HARD_LIMIT_NS:
                    self._release(node, holder)

    # --- removing ----------------------------------------------------------------------------------

    @refusing
    def unlink(self, caller: Caller, where: Where, keep_for: str) -> Plan:
        slot, errors = self._removable(caller, where)
        if slot.node is not None and slot.node.is_directory:
            errors.add(IsADirectory)
        return Plan(
            errors, lambda: Entry(self.drop(slot.parent, slot.name, keep_for), slot.parent, slot.name)
        )

    @refusing
    def rmdir(self, caller: Caller, where: Where) -> Plan:
        slot, errors = self._removable(caller, where)
        if slot.node is not None:
            if not slot.node.is_directory:
                errors.add(NotADirectory)
            elif slot.node.children:
                errors.add(NotEmpty)
        return Plan(errors, lambda: self._nothing(self.drop(slot.parent, slot.name)))

    @refusing
    def delete(self, caller: Caller, where: Where, recursive: bool) -> Plan:
        slot, errors = self._removable(caller, where)
        top = slot.node
        if top is not None and top.children:
            if not recursive:
                errors.add(NotEmpty)
            errors |= self._tree_errors(caller, top)

        def apply() -> None:
            assert top is not None
            self.remove_tree(slot)

        return Plan(errors, apply)

    def _tree_errors(self, caller: Caller, top: Node) -> Errors:
        errors: Errors = set()
        for directory in self.below(top):
            if not directory.children:
                continue
            if not self.may(caller, directory, READ | WRITE | EXECUTE):
                errors.add(PermissionDenied)
            if not all(self.sticky_allows(caller, directory, one) for one in directory.children.values()):
                errors.add(NotPermitted)
        return errors

    # --- what they share ---------------------------------------------------------------------------

    @staticmethod
    def _nothing(_: object) -> None:
        return None

    @staticmethod
    def _file_errors(node: Node) -> Errors:
        if node.is_directory:
            return {IsADirectory}
        return set() if node.is_file else {InvalidArgument}

    def _content_errors(self, caller: Caller, node: Node, holder: str, exclusive: bool) -> Errors:
        errors: Errors = set()
        if not self.may(caller, node, WRITE):
            errors.add(PermissionDenied)
        if self.other_writers(node, holder, exclusive):
            errors.add(LeaseConflict)
        return errors

    def _new_errors(self, caller: Caller, slot: Slot) -> Errors:
        errors = self.write_errors(caller, slot.parent)
        if slot.node is not None:
            errors.add(AlreadyExists)
        return errors

    def _removable(self, caller: Caller, where: Where) -> tuple[Slot, Errors]:
        slot = self.slot(caller, where)
        errors = self.write_errors(caller, slot.parent)
        if slot.node is None:
            errors.add(NotFound)
        elif not self.sticky_allows(caller, slot.parent, slot.node):
            errors.add(NotPermitted)
        return slot, errors

    def _missing(self, caller: Caller, where: Where, parents: bool) -> tuple[list[str], Node]:
        """Names of the directories above ``where`` that have to be made first, and in which directory."""
        if not where.names:
            slot = self.slot(caller, where)
            return [], slot.parent
        missing: list[str] = []
        above = where.above
        while True:
            try:
                base = self.resolve(caller, above).node
                break
            except Refusal as refusal:
                if not parents or refusal.errors != {NotFound}:
                    raise
            missing.insert(0, above.names[-1])
            above = above.above
        if not base.is_directory:
            raise Refusal(NotADirectory)
        if missing and missing[0] in base.children:
            # A symbolic link to nothing is in the way.
            raise Refusal(NotADirectory, AlreadyExists, NotFound, *self.write_errors(caller, base))
        return missing, base

    def _make_missing(
        self, caller: Caller, base: Node, missing: list[str], mode: int, unmasked: int = -1
    ) -> Node:
        for name in missing:
            # mkdir -p: those on the way can be used by who makes them, and are not sticky.
            made = self.new_node(caller, base, stat.S_IFDIR, (mode & 0o777) | 0o300, unmasked)
            base = self.put(base, name, made).node
        return base

    def _existing_directory(self, caller: Caller, where: Where, node: Node, exist_ok: bool) -> Plan:
        if not exist_ok:
            return Plan({AlreadyExists} | self._quiet_write_errors(caller, where))
        entry = self.resolve(caller, where) if node.is_symlink and where.names else None
        if entry is None:
            entry = self.resolve(caller, where, False)
        return Plan(apply=lambda: entry) if entry.node.is_directory else Plan({AlreadyExists})

    def _quiet_write_errors(self, caller: Caller, where: Where) -> Errors:
        return self.write_errors(caller, self.slot(caller, where).parent)

    def _whole_file(
        self,
        caller: Caller,
        where: Where,
        data: bytes,
        mode: int,
        overwrite: bool,
        parents: bool,
        holder: str,
        finish: Callable[[Entry, bool], Entry],
    ) -> Plan:
        """A file with new content: made, or emptied and written anew."""
        if where.is_root:
            return Plan({InvalidArgument, IsADirectory, AlreadyExists})
        missing, base = self._missing(caller, where, parents)
        slot = Slot(base, where.names[-1], None) if missing else self.slot(caller, where)
        if slot.node is None:

            def make() -> Entry:
                directory = self._make_missing(caller, base, missing, 0o755, 0o777)
                node = self.new_node(caller, directory, stat.S_IFREG, mode, data=data)
                return finish(self.put(directory, slot.name, node), True)

            return Plan(self.write_errors(caller, slot.parent), make)
        if not overwrite:
            return Plan({AlreadyExists} | self.write_errors(caller, slot.parent))
        entry = Entry(slot.node, slot.parent, slot.name)
        if slot.node.is_symlink and where.names:
            entry = self.resolve(caller, where)
        errors = self._file_errors(entry.node)
        if not errors:
            errors = self._content_errors(caller, entry.node, holder, bool(holder))

        def rewrite() -> Entry:
            entry.node.data = data
            entry.node.touch(self.now_ns)
            return finish(entry, False)

        return Plan(errors, rewrite)

    def _release(self, node: Node, holder: str) -> None:
        node.writers.pop(holder, None)
        node.kept_by.discard(holder)
        if not node.names and not node.writers:
            node.gone = True
