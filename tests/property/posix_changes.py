"""The rest of the verbs on the in-memory model: renames, attributes and extended attributes."""

from __future__ import annotations

import stat

from oastfs.core.errors import (
    AlreadyExists,
    BadAcl,
    InvalidArgument,
    IsADirectory,
    NotADirectory,
    NotEmpty,
    NotFound,
    NotPermitted,
    PermissionDenied,
    Unsupported,
    XattrNotFound,
)
from oastfs.core.types import Caller, RenameMode
from tests.property.posix_acls import Acl
from tests.property.posix_model import EXECUTE, READ, WRITE, Entry, Errors, Node, Plan, Refusal, Slot, Where
from tests.property.posix_operations import Operations, refusing

POSIX_MODES = (RenameMode.POSIX, RenameMode.NO_REPLACE, RenameMode.EXCHANGE)


class Model(Operations):
    """All verbs."""

    # --- renaming ----------------------------------------------------------------------------------

    @refusing
    def rename(self, caller: Caller, source: Where, target: Where, mode: RenameMode, keep_for: str) -> Plan:
        errors: Errors = set()
        slots: list[Slot] = []
        for where in (source, target):
            try:
                slots.append(self.slot(caller, where))
            except Refusal as refusal:
                errors |= {AlreadyExists} if where is target and where.is_root else refusal.errors
        if len(slots) < 2:
            return Plan(errors)
        old, new = slots
        if old.node is None:
            return Plan(
                {NotFound} | self.write_errors(caller, old.parent) | self.write_errors(caller, new.parent)
            )
        inner = new.node
        if mode is RenameMode.HDFS and inner is not None and inner.is_directory and inner is not old.node:
            if not self.may(caller, inner, EXECUTE):
                return Plan({PermissionDenied})
            new = Slot(inner, old.name, inner.children.get(old.name))
        return self._rename(caller, old, new, mode, keep_for)

    def _rename(
        self,
        caller: Caller,
        old: Slot,
        new: Slot,
        mode: RenameMode,
        keep_for: str,
    ) -> Plan:
        node = old.node
        assert node is not None
        errors = self._rename_permissions(caller, old, new, mode)
        if node is new.node:
            if mode in (RenameMode.NO_REPLACE, RenameMode.HDFS_OVERWRITE):
                return Plan(errors | {AlreadyExists})
            # Nothing happens; whether permissions are looked at then is left open.
            return Plan(set(), lambda: Entry(node, None, None), errors)
        if self._is_below(new.parent, node):
            errors.add(InvalidArgument)
        if mode is RenameMode.EXCHANGE:
            if new.node is None:
                errors.add(NotFound)
            elif self._is_below(old.parent, new.node):
                errors.add(InvalidArgument)
            return Plan(errors, lambda: self._exchange(old, new))
        if new.node is not None:
            errors |= self._replace_errors(node, new.node, mode)
        return Plan(errors, lambda: self._move(old, new, keep_for))

    def _rename_permissions(self, caller: Caller, old: Slot, new: Slot, mode: RenameMode) -> Errors:
        errors = self.write_errors(caller, old.parent) | self.write_errors(caller, new.parent)
        for slot, other in ((old, new), (new, old)):
            if slot.node is None:
                continue
            if not self.sticky_allows(caller, slot.parent, slot.node):
                errors.add(NotPermitted)
            moves = slot is old or mode is RenameMode.EXCHANGE
            if mode in POSIX_MODES and moves and slot.node.is_directory and slot.parent is not other.parent:
                # Its '..' is rewritten.
                errors |= set() if self.may(caller, slot.node, WRITE) else {PermissionDenied}
        return errors

    def _replace_errors(self, node: Node, replaced: Node, mode: RenameMode) -> Errors:
        errors: Errors = set()
        if mode in (RenameMode.NO_REPLACE, RenameMode.HDFS):
            errors.add(AlreadyExists)
        elif node.is_directory and not replaced.is_directory:
            errors.add(NotADirectory)
        elif replaced.is_directory and not node.is_directory:
            errors.add(IsADirectory)
        elif replaced.children:
            errors.add(NotEmpty)
        return errors

    def _is_below(self, node: Node, top: Node) -> bool:
        while node is not top:
            if node is self.root:
                return False
            node = node.parent
        return True

    def _move(self, old: Slot, new: Slot, keep_for: str) -> Entry:
        if new.node is not None:
            self.drop(new.parent, new.name, keep_for)
        node = self.take(old.parent, old.name)
        node.ctime_ns = self.now_ns
        return self.put(new.parent, new.name, node)

    def _exchange(self, old: Slot, new: Slot) -> Entry:
        first, second = self.take(old.parent, old.name), self.take(new.parent, new.name)
        first.ctime_ns = second.ctime_ns = self.now_ns
        self.put(old.parent, old.name, second)
        return self.put(new.parent, new.name, first)

    # --- attributes ----------------------------------------------------------------------------------

    @refusing
    def chmod(self, caller: Caller, where: Where, mode: int, follow: bool) -> Plan:
        entry = self.resolve(caller, where, follow)
        node = entry.node
        kept = mode
        if not node.is_directory and not self.is_superuser(caller) and node.gid not in caller.gids:
            kept &= ~stat.S_ISGID
        errors: Errors = set() if self.owns(caller, node) else {NotPermitted}
        return Plan(errors, lambda: self._changed(entry, permissions=kept))

    @refusing
    def set_acl(self, caller: Caller, where: Where, access: Acl, default: Acl | None) -> Plan:
        """Without a default ACL the one that is there stays."""
        entry, errors = self._entry_for_acl(caller, where)
        node = entry.node
        if default is not None and not node.is_directory:
            errors.add(BadAcl)
        return Plan(errors, lambda: self._with_acl(caller, entry, access, default or node.default))

    @refusing
    def modify_acl(self, caller: Caller, where: Where, uid: int, bits: int) -> Plan:
        """One named user."""
        entry, errors = self._entry_for_acl(caller, where)
        node = entry.node
        return Plan(
            errors, lambda: self._with_acl(caller, entry, node.acl.with_user(uid, bits), node.default)
        )

    @refusing
    def remove_acl(self, caller: Caller, where: Where) -> Plan:
        entry, errors = self._entry_for_acl(caller, where)

        def apply() -> Entry:
            acl = entry.node.acl
            return self._with_acl(caller, entry, Acl(acl.user_obj, acl.group_obj, acl.other), None)

        return Plan(errors, apply)

    def _entry_for_acl(self, caller: Caller, where: Where) -> tuple[Entry, Errors]:
        entry = self.resolve(caller, where)
        errors: Errors = set() if self.owns(caller, entry.node) else {NotPermitted}
        return entry, errors | ({Unsupported} if entry.node.is_symlink else set())

    def _with_acl(self, caller: Caller, entry: Entry, access: Acl, default: Acl | None) -> Entry:
        node = entry.node
        kept = node.permissions & ~0o777
        if not node.is_directory and not self.is_superuser(caller) and node.gid not in caller.gids:
            kept &= ~stat.S_ISGID
        node.named = access if access.is_extended else None
        node.default = default
        return self._changed(entry, permissions=kept | access.permissions)

    @refusing
    def chown(self, caller: Caller, where: Where, uid: int, gid: int, follow: bool) -> Plan:
        entry = self.resolve(caller, where, follow)
        node = entry.node
        errors: Errors = set()
        if not self.is_superuser(caller):
            mine = caller.uid == node.uid
            if uid != -1 and not (mine and uid == node.uid):
                errors.add(NotPermitted)
            if gid != -1 and not (mine and (gid in caller.gids or gid == node.gid)):
                errors.add(NotPermitted)
        permissions = node.permissions
        if not node.is_directory:
            permissions &= ~stat.S_ISUID
            if permissions & stat.S_IXGRP:
                permissions &= ~stat.S_ISGID
        new_uid = node.uid if uid == -1 else uid
        new_gid = node.gid if gid == -1 else gid
        return Plan(errors, lambda: self._changed(entry, uid=new_uid, gid=new_gid, permissions=permissions))

    @refusing
    def utimes(
        self, caller: Caller, where: Where, atime_ns: int, mtime_ns: int, follow: bool, now: bool
    ) -> Plan:
        entry = self.resolve(caller, where, follow)
        node = entry.node
        errors: Errors = set()
        if not self.owns(caller, node) and not (now and self.bits_allow(caller, node, WRITE)):
            errors = {NotPermitted, PermissionDenied}
        if now:
            atime_ns = mtime_ns = self.now_ns
        changes = {"atime_ns": atime_ns, "mtime_ns": mtime_ns}
        changes = {name: value for name, value in changes.items() if value != -1}
        return Plan(errors, lambda: self._changed(entry, **changes))

    @refusing
    def get_xattrs(self, caller: Caller, where: Where, names: list[str] | None, follow: bool) -> Plan:
        node = self.resolve(caller, where, follow).node
        if names is None:
            seen = {name for name in node.xattrs if not self._xattr_read_errors(caller, node, name)}
            return Plan(apply=lambda: {name: node.xattrs[name] for name in seen} | node.acl_attributes)
        errors: Errors = set()
        for name in names:
            errors |= self._xattr_read_errors(caller, node, name)
            if name not in node.xattrs:
                errors.add(XattrNotFound)
        return Plan(errors, lambda: {name: node.xattrs[name] for name in names})

    @refusing
    def set_xattr(
        self,
        caller: Caller,
        where: Where,
        name: str,
        value: bytes,
        create: bool,
        replace: bool,
        follow: bool,
    ) -> Plan:
        errors: Errors = set() if create or replace else {InvalidArgument}
        try:
            node = self.resolve(caller, where, follow).node
        except Refusal as refusal:
            return Plan(errors | refusal.errors)
        errors |= self._xattr_write_errors(caller, node, name)
        if name in node.xattrs and not replace:
            errors.add(AlreadyExists)
        if name not in node.xattrs and not create:
            errors.add(XattrNotFound)

        def apply() -> None:
            node.xattrs[name] = value
            node.ctime_ns = self.now_ns

        return Plan(errors, apply)

    @refusing
    def remove_xattr(self, caller: Caller, where: Where, name: str, follow: bool) -> Plan:
        node = self.resolve(caller, where, follow).node
        errors = self._xattr_write_errors(caller, node, name)
        if name not in node.xattrs:
            errors.add(XattrNotFound)

        def apply() -> None:
            del node.xattrs[name]
            node.ctime_ns = self.now_ns

        return Plan(errors, apply)

    def _changed(self, entry: Entry, **changes: int) -> Entry:
        for name, value in changes.items():
            setattr(entry.node, name, value)
        entry.node.ctime_ns = self.now_ns
        return entry

    def _xattr_name_errors(self, name: str) -> Errors:
        if not name.startswith(("user.", "trusted.", "security.", "system.", "raw.")):
            return {Unsupported}
        return {InvalidArgument} if name.endswith(".") else set()

    def _xattr_read_errors(self, caller: Caller, node: Node, name: str) -> Errors:
        errors = self._xattr_name_errors(name)
        if name.startswith("user.") and not self.may(caller, node, READ):
            errors.add(PermissionDenied)
        if name.startswith(("trusted.", "raw.")) and not self.is_superuser(caller):
            errors.add(NotPermitted)
        return errors

    def _xattr_write_errors(self, caller: Caller, node: Node, name: str) -> Errors:
        errors = self._xattr_name_errors(name)
        if name.startswith("user."):
            if not node.is_file and not node.is_directory:
                errors.add(NotPermitted)
            if node.is_directory and node.permissions & stat.S_ISVTX and not self.owns(caller, node):
                errors.add(NotPermitted)
            if not self.may(caller, node, WRITE):
                errors.add(PermissionDenied)
        elif name.startswith("system."):
            errors |= set() if self.owns(caller, node) else {NotPermitted}
        elif not self.is_superuser(caller):
            errors.add(NotPermitted)
        return errors
