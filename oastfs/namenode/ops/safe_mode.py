"""safe_mode: hold changes up, let them go on, or ask."""

from __future__ import annotations

from oastfs.core.errors import InvalidArgument, NotPermitted
from oastfs.namenode import safe_mode as mode
from oastfs.namenode.context import Context
from oastfs.store.transaction import Transaction

_ACTIONS = ("enter", "leave", "get")


def safe_mode(tx: Transaction, context: Context, action: str) -> bool:
    """HDFS setSafeMode. Everybody may ask."""
    if action not in _ACTIONS:
        raise InvalidArgument(f"an action on safe mode is enter, leave or get, not {action!r}")
    if action != "get":
        if not context.superuser:
            user = context.caller.user
            raise NotPermitted(f"Access denied for user {user}. Superuser privilege is required")
        mode.switch(tx, action == "enter")
    return mode.is_on(tx)
