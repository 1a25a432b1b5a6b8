"""URLs as fsspec's users write them: ``oastfs://[USER@]HOST[:PORT][,HOST[:PORT]...]/path``.

Without a host (``oastfs:///path``) the storage options say which filesystem it is. Nothing here connects.
"""

from __future__ import annotations

import os
from typing import Any, Final

from fsspec.utils import stringify_path

PROTOCOL: Final = "oastfs"
_PREFIX: Final = f"{PROTOCOL}://"


def strip(path: str | os.PathLike[str]) -> str:
    """The absolute path inside the filesystem, without protocol, host, doubled or trailing slashes."""
    text = path if type(path) is str else stringify_path(path)
    if text.startswith(_PREFIX):
        text = "/" + text[len(_PREFIX) :].partition("/")[2]
    elif text.startswith(f"{PROTOCOL}::"):
        text = text[len(PROTOCOL) + 2 :]
    if not text.startswith("/"):
        text = "/" + text
    while "//" in text:
        text = text.replace("//", "/")
    return text.rstrip("/") or "/"


def options_of(url: str | os.PathLike[str]) -> dict[str, Any]:
    """The storage options that are in a URL: ``host`` (all of them) and ``user``."""
    text = stringify_path(url)
    if not text.startswith(_PREFIX):
        return {}
    authority = text[len(_PREFIX) :].partition("/")[0]
    user, _, host = authority.rpartition("@")
    options = {"host": host, "user": user}
    return {name: value for name, value in options.items() if value}


def namenodes(host: str | None, port: int | None) -> str | None:
    """The URL that the client takes, from the options ``host`` and ``port``."""
    if not host:
        return None
    parts = [part.strip() for part in host.split(",")]
    if port is not None:
        parts = [part if _has_port(part) else f"{part}:{port}" for part in parts]
    return _PREFIX + ",".join(parts)


def _has_port(part: str) -> bool:
    return ":" in part.rpartition("]")[2]
