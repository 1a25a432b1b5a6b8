"""Who the user of this process is, as callers tell namenodes."""

from __future__ import annotations

import os
import pwd

from oastfs.core.types import Caller


def user_name(uid: int) -> str:
    """The user's login name, or the number where none is known."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def current_caller() -> Caller:
    """The effective user and groups of this process, the primary group first."""
    uid, gid = os.geteuid(), os.getegid()
    others = sorted(set(os.getgroups()) - {gid})
    return Caller(user_name(uid), uid, (gid, *others))
