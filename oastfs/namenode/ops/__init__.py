"""Every verb of ``core.metadata.Metadata``: one module each, holding a function of the same name.

``verb(tx, context, *arguments) -> result``. Operations compose: one may call another's function with its
own transaction. They never commit, retry, open sockets or read clocks.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

READS: Final = frozenset(
    {
        "access",
        "content_summary",
        "datanodes",
        "filesystem_info",
        "get_acl",
        "get_lock",
        "get_storage_policy",
        "get_xattrs",
        "list_storage_policies",
        "listdir",
        "lookup",
        "namenodes",
        "open",
        "path_of",
        "principal_names",
        "quota_usage",
        "read_many",
        "readlink",
        "stat",
        "stat_many",
        "statfs",
    }
)
"""Verbs that change nothing: they run on a snapshot, and any number at once."""


def operation(verb: str) -> Callable[..., Any]:
    """The function of a verb, found by its name."""
    function: Callable[..., Any] = getattr(import_module(f"{__name__}.{verb}"), verb)
    return function
