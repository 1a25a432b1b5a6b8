"""Which of HDFS's calls safe mode holds up, and what HDFS says they would have done."""

from __future__ import annotations

from typing import Final

from google.protobuf.message import Message

from oastfs.namenode import safe_mode
from oastfs.store.transaction import Transaction

_ALLOWED: Final = frozenset({"setSafeMode", "reportBadBlocks"})
_VERBS: Final = {
    "abandonBlock": "abandon_block",
    "addBlock": "add_block",
    "append": "append",
    "complete": "complete",
    "concat": "concat",
    "create": "create",
    "createSymlink": "symlink",
    "delete": "delete",
    "fsync": "commit",
    "mkdirs": "mkdirs",
    "modifyAclEntries": "modify_acl",
    "recoverLease": "recover_lease",
    "removeAcl": "remove_acl",
    "removeAclEntries": "remove_acl_entries",
    "removeDefaultAcl": "remove_default_acl",
    "removeXAttr": "remove_xattr",
    "rename": "rename",
    "rename2": "rename",
    "renewLease": "renew_lease",
    "setAcl": "set_acl",
    "setOwner": "chown",
    "setPermission": "chmod",
    "setQuota": "set_quota",
    "setReplication": "set_replication",
    "setStoragePolicy": "set_storage_policy",
    "setTimes": "utimes",
    "setXAttr": "set_xattr",
    "truncate": "truncate",
    "unsetStoragePolicy": "unset_storage_policy",
    "updateBlockForPipeline": "update_block",
}
"""Verbs whose words are those of HDFS's calls; for others the call's own name has to do."""
_SUBJECTS: Final = ("src", "path", "trg", "link", "clientName")
"""Fields that name what is to be changed, the first one that a request has."""


def require_off(tx: Transaction, method: str, request: Message) -> None:
    """Raise SafeMode if the call would change something while nothing may be."""
    if method in _ALLOWED or not safe_mode.is_on(tx):
        return
    fields = request.DESCRIPTOR.fields_by_name
    subject = next((getattr(request, name) for name in _SUBJECTS if name in fields), "")
    safe_mode.require_off(tx, _VERBS.get(method, method), subject)
