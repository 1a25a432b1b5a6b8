"""How ACLs change: merging, replacing and removing entries, with HDFS's rules and messages.

Each function takes the whole ACL of an inode (``rows.whole``) and gives the new one, sorted and valid, or
raises BadAcl. The mask follows one rule: one that the caller gives counts; if a scope is changed without it,
the mask becomes all that the group class is given, where the scope needs or had one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from oastfs.core.errors import BadAcl, InvalidArgument
from oastfs.core.limits import ACL_ENTRIES_MAX
from oastfs.core.types import AclEntry, AclScope
from oastfs.namenode.acls.rows import (
    ACCESS,
    BASE,
    DEFAULT,
    GROUP,
    MASK,
    OTHER,
    UNNAMED,
    of_scope,
    sort_key,
)

ID_MAX: Final = 0xFFFFFFFE
Change = Callable[[list[AclEntry]], list[AclEntry]]

_Key = tuple[int, int, int]


def merged(existing: Sequence[AclEntry], given: Sequence[AclEntry]) -> list[AclEntry]:
    """Add the given entries; one that is there already is replaced, by the first that is given for it."""
    check_given(given)
    draft = _Draft()
    replacing = {sort_key(entry): entry for entry in reversed(given)}
    replaced_keys = set()
    for entry in existing:
        key = sort_key(entry)
        if key in replacing:
            replaced_keys.add(key)
            draft.give(replacing[key])
        else:
            draft.keep(entry)
    for entry in given:
        if sort_key(entry) not in replaced_keys:
            draft.give(entry)
    return draft.finish()


def replaced(existing: Sequence[AclEntry], given: Sequence[AclEntry]) -> list[AclEntry]:
    """The given entries, and the existing ones of a scope of which none is given."""
    check_given(given)
    draft = _Draft()
    for entry in given:
        draft.give(entry)
    for entry in existing:
        if entry.scope not in draft.changed:
            draft.keep(entry)
    return draft.finish()


def without(existing: Sequence[AclEntry], given: Sequence[AclEntry]) -> list[AclEntry]:
    """Take the given entries away, whatever their permissions are."""
    check_given(given)
    draft = _Draft()
    removing = {sort_key(entry) for entry in given}
    for entry in existing:
        if sort_key(entry) in removing:
            draft.drop(entry)
        else:
            draft.keep(entry)
    return draft.finish()


def without_default(existing: Sequence[AclEntry]) -> list[AclEntry]:
    """Only the access entries."""
    return of_scope(existing, ACCESS)


def minimal(existing: Sequence[AclEntry]) -> list[AclEntry]:
    """Only what a mode can hold: the entries of owner, owning group and others."""
    return [
        entry for entry in existing if entry.scope is ACCESS and entry.id == UNNAMED and entry.kind in BASE
    ]


def check_given(entries: Sequence[AclEntry]) -> None:
    """Raise unless the entries of a caller may be looked at."""
    for entry in entries:
        if not UNNAMED <= entry.id <= ID_MAX or not 0 <= entry.permission <= 7:
            raise InvalidArgument(f"no ACL entry: id {entry.id}, permission {entry.permission}")
    _check_counts(entries)


def check_valid(entries: Sequence[AclEntry]) -> None:
    """Raise BadAcl unless these sorted entries make up a whole ACL."""
    previous: _Key | None = None
    for entry in entries:
        if sort_key(entry) == previous:
            raise BadAcl("Invalid ACL: multiple entries with same scope, type and name.")
        if entry.id != UNNAMED and entry.kind in (MASK, OTHER):
            raise BadAcl(f"Invalid ACL: this entry type must not have a name: {text_of(entry)}.")
        previous = sort_key(entry)
    _check_counts(entries)
    unnamed = {(entry.scope, entry.kind) for entry in entries if entry.id == UNNAMED}
    if any((ACCESS, kind) not in unnamed for kind in BASE):
        raise BadAcl("Invalid ACL: the user, group and other entries are required.")
    if of_scope(entries, DEFAULT) and any((DEFAULT, kind) not in unnamed for kind in BASE):
        raise BadAcl("Invalid default ACL: the user, group and other entries are required.")
    for scope in AclScope:
        if (scope, MASK) not in unnamed and any(entry.id != UNNAMED for entry in of_scope(entries, scope)):
            raise BadAcl("Invalid ACL: mask is required and cannot be deleted.")


def text_of(entry: AclEntry) -> str:
    """An entry as HDFS writes it, but for the name."""
    letters = "".join(
        letter if entry.permission & bit else "-" for bit, letter in ((4, "r"), (2, "w"), (1, "x"))
    )
    scope = "default:" if entry.scope is DEFAULT else ""
    return f"{scope}{entry.kind.name.lower()}:{'' if entry.id == UNNAMED else entry.id}:{letters}"


class _Draft:
    """A new ACL in the making: all entries but the masks, and what is known of each scope's mask."""

    def __init__(self) -> None:
        self._entries: list[AclEntry] = []
        self._masks: dict[AclScope, AclEntry] = {}
        self._masks_changed: set[AclScope] = set()
        self.changed: set[AclScope] = set()

    def keep(self, entry: AclEntry) -> None:
        """An entry that was there and stays."""
        if entry.kind is MASK and entry.id == UNNAMED:
            self._masks.setdefault(entry.scope, entry)
        else:
            self._entries.append(entry)

    def give(self, entry: AclEntry) -> None:
        """An entry of the caller's."""
        self.changed.add(entry.scope)
        if entry.kind is MASK and entry.id == UNNAMED:
            self._masks[entry.scope] = entry
            self._masks_changed.add(entry.scope)
        else:
            self._entries.append(entry)

    def drop(self, entry: AclEntry) -> None:
        """An entry that was there and goes."""
        self.changed.add(entry.scope)
        if entry.kind is MASK:
            self._masks_changed.add(entry.scope)

    def finish(self) -> list[AclEntry]:
        """Add what is missing. Raises BadAcl."""
        self._copy_to_default()
        for scope in sorted({entry.scope for entry in self._entries}):
            mask = self._mask(scope)
            if mask is not None:
                self._entries.append(mask)
        entries = sorted(self._entries, key=sort_key)
        check_valid(entries)
        return entries

    def _copy_to_default(self) -> None:
        """A default ACL takes from the access ACL what it lacks of owner, owning group and others."""
        if not of_scope(self._entries, DEFAULT):
            return
        unnamed = {(entry.scope, entry.kind): entry for entry in self._entries if entry.id == UNNAMED}
        for kind in BASE:
            access = unnamed.get((ACCESS, kind))
            if (DEFAULT, kind) not in unnamed and access is not None:
                self._entries.append(AclEntry(DEFAULT, kind, UNNAMED, access.permission))

    def _mask(self, scope: AclScope) -> AclEntry | None:
        entries = of_scope(self._entries, scope)
        needed = any(entry.id != UNNAMED for entry in entries)
        known = self._masks.get(scope)
        if known is None:
            if not needed:
                return None
            if scope in self._masks_changed:
                raise BadAcl("Invalid ACL: mask is required and cannot be deleted.")
        elif scope not in self.changed or scope in self._masks_changed:
            return known
        granted = 0
        for entry in entries:
            if entry.kind is GROUP or entry.id != UNNAMED:
                granted |= entry.permission
        return AclEntry(scope, MASK, UNNAMED, granted)


def _check_counts(entries: Iterable[AclEntry]) -> None:
    for scope in AclScope:
        count = len(of_scope(entries, scope))
        if count > ACL_ENTRIES_MAX:
            what = scope.name.lower()
            raise BadAcl(
                f"Invalid ACL: ACL has {count} {what} entries, which exceeds maximum of {ACL_ENTRIES_MAX}."
            )
