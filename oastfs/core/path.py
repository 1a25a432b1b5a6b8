"""Paths as callers write them: checked once, then trusted.

The rules are HDFS's (DFSUtil.isValidName) with POSIX's limits: absolute, no empty, ``.`` or ``..``
components, no NUL, valid UTF-8.
"""

from __future__ import annotations

from oastfs.core.errors import InvalidPath, NameTooLong, NotUtf8
from oastfs.core.limits import NAME_BYTES_MAX, PATH_BYTES_MAX, PATH_DEPTH_MAX

RESERVED = "/.reserved"
INODES = "/.reserved/.inodes/"


def by_id(inode_id: int, name: str | None = None) -> str:
    """The path of an inode by its id, or of an entry of that directory (HDFS INode paths)."""
    return f"{INODES}{inode_id}" if name is None else f"{INODES}{inode_id}/{name}"


def split(path: str) -> list[str]:
    """Components of an absolute path; the root has none.

    Raises InvalidPath, NameTooLong or NotUtf8.
    """
    if type(path) is not str or not path.startswith("/"):
        raise InvalidPath("a path must be absolute", path=str(path))
    if path == "/":
        return []
    parts = path[1:].split("/")
    if len(path) > NAME_BYTES_MAX // 4 or not path.isascii() or "\0" in path:
        _check_long(path, parts)
    # One pass in C for each test: the common path is short, ASCII and clean.
    if "" in parts or "." in parts or ".." in parts:
        raise InvalidPath("a path may not hold empty, '.' or '..' components", path=path)
    return parts


def check_name(name: str) -> None:
    """Raise unless ``name`` may be a directory entry."""
    split("/" + name)
    if "/" in name:
        raise InvalidPath("a name may not hold '/'", path=name)


def _check_long(path: str, parts: list[str]) -> None:
    if "\0" in path:
        raise InvalidPath("a path may not hold NUL", path=path.replace("\0", "\\0"))
    try:
        size_bytes = len(path.encode())
    except UnicodeEncodeError:
        raise NotUtf8("a name must be valid UTF-8", path=ascii(path)) from None
    if size_bytes > PATH_BYTES_MAX:
        raise NameTooLong(f"a path may not be longer than {PATH_BYTES_MAX} bytes")
    if len(parts) > PATH_DEPTH_MAX:
        raise NameTooLong(f"a path may not be deeper than {PATH_DEPTH_MAX} components")
    for part in parts:
        if len(part.encode()) > NAME_BYTES_MAX:
            raise NameTooLong(f"a name may not be longer than {NAME_BYTES_MAX} bytes", path=part)


def normalize(path: str) -> str:
    """An absolute path with ``//``, ``.`` and trailing slashes taken out.

    ``..`` is refused rather than resolved: through symlinks its meaning is not textual.
    """
    if not path.startswith("/"):
        raise InvalidPath("a path must be absolute", path=path)
    parts = [part for part in path.split("/") if part not in ("", ".")]
    clean = "/" + "/".join(parts)
    split(clean)
    return clean


def parent(path: str) -> str:
    """The path above; of the root, the root."""
    return path.rpartition("/")[0] or "/"


def join(directory: str, name: str) -> str:
    """``name`` inside ``directory``."""
    return directory + name if directory.endswith("/") else f"{directory}/{name}"
