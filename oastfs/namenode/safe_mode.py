"""Safe mode: everything is read, nothing is changed, while administrators look after a filesystem.

It is a setting of the store, so all namenodes, mounts and direct clients agree. Each change looks at it in
its own transaction; what datanodes report is still taken in.
"""

from __future__ import annotations

from typing import Final

from oastfs.core.errors import SafeMode
from oastfs.store.schema import SAFE_MODE, SETTING, Setting
from oastfs.store.transaction import Transaction

ALLOWED: Final = frozenset(
    {
        "safe_mode", "principal_ids", "renew_lease", "report_bad_blocks",
        "set_lock", "renew_locks", "release_locks",
    }
)  # fmt: skip
"""Changing verbs that go on: they change nothing of the namespace, and writers are to outlive it."""

_DOINGS: Final = {
    "abandon_block": "abandon block of file",
    "add_block": "add block to ",
    "append": "append to file",
    "chmod": "set permission for ",
    "chown": "set owner for ",
    "commit": "fsync file ",
    "complete": "complete file ",
    "concat": "concat ",
    "create": "create file",
    "delete": "delete ",
    "forget": "let go of removed files",
    "link": "link ",
    "mkdirs": "create directory ",
    "mknod": "create file",
    "modify_acl": "modify ACL entries on ",
    "recover_lease": "recover the lease of ",
    "remove_acl": "remove ACL on ",
    "remove_acl_entries": "remove ACL entries on ",
    "remove_default_acl": "remove default ACL entries on ",
    "remove_xattr": "remove XAttr entry on ",
    "rename": "rename ",
    "renew_lease": "renew lease for ",  # HDFS's clients are refused it, as by HDFS
    "rmdir": "delete ",
    "set_acl": "set ACL on ",
    "set_quota": "set quota on ",
    "set_replication": "set replication for ",
    "set_storage_policy": "set storage policy for ",
    "set_xattr": "set XAttr on ",
    "symlink": "create symlink ",
    "truncate": "truncate for ",
    "unlink": "delete ",
    "unset_storage_policy": "unset storage policy for ",
    "update_block": "get a new GS for block of ",
    "utimes": "set times ",
    "write_file": "create file",
    "write_inline": "write to file ",
    "write_many": "create files",
}
"""What a verb does, in HDFS's words where it has the verb."""


def is_on(tx: Transaction) -> bool:
    """Whether changes are held up."""
    return tx.get(SETTING, SAFE_MODE) is not None


def switch(tx: Transaction, on: bool) -> None:
    """Hold changes up from now on, or no longer."""
    if on:
        tx.put(SETTING, SAFE_MODE, Setting("on"))
    else:
        tx.delete(SETTING, SAFE_MODE)


def require_off(tx: Transaction, verb: str, subject: object = "") -> None:
    """Raise SafeMode if changes are held up; ``subject``: what ``verb`` would change."""
    if tx.get(SETTING, SAFE_MODE) is not None:
        doing = _DOINGS.get(verb, verb.replace("_", " ") + " ")
        raise SafeMode(
            f"Cannot {doing}{subject if isinstance(subject, str) else ''}. Name node is in safe mode.\n"
            'It was turned on manually. Use "oastfs safemode leave" or "hdfs dfsadmin -safemode leave" '
            "to turn safe mode off."
        )
