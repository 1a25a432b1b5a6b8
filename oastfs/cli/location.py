"""URLs as people type them: which filesystem, and which path in it.

``oastfs://HOST:PORT[,HOST:PORT]/path`` goes through namenodes (``hdfs://`` is taken for the same).
A metadata URL names a store (several servers as shards are separated by commas); the path inside follows
a ``!``: ``lmdb:///srv/oast!/path``. Anything without a scheme is a path in the filesystem that
``OASTFS_URL`` names, relative to the path of that.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from oastfs.cli.failure import UsageFailure

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

URL_VARIABLE = "OASTFS_URL"
NAMENODE_SCHEMES = ("oastfs", "hdfs")
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)


@dataclass(frozen=True)
class Location:
    """A path in a filesystem. ``address`` is what ``oastfs.client.connect`` takes."""

    address: str
    path: str

    def __str__(self) -> str:
        if self.address.startswith("oastfs://"):
            return self.address + self.path
        return f"{self.address}!{self.path}"

    def child(self, name: str) -> Location:
        """The location of an entry of this directory."""
        from oastfs.core.path import join

        return Location(self.address, join(self.path, name))

    @property
    def name(self) -> str:
        """The last component; '' for the root."""
        return self.path.rpartition("/")[2]


def has_scheme(text: str) -> bool:
    """Whether ``text`` is a URL rather than a plain path."""
    return _SCHEME.match(text) is not None


def parse(text: str) -> Location:
    """Read a URL or a path. Raises UsageFailure, or an error of ``core.path`` for a bad path."""
    from oastfs.core.path import normalize

    address, path = split(text)
    return Location(address, normalize(path))


def split(text: str) -> tuple[str, str]:
    """The address and the absolute (not yet normalized) path of a URL or path."""
    found = _SCHEME.match(text)
    if found is None:
        return _from_default(text)
    scheme = found[1].lower()
    rest = text[found.end() :]
    if scheme in NAMENODE_SCHEMES:
        authority, slash, path = rest.partition("/")
        if not authority:
            return _from_default("/" + path)
        return f"oastfs://{authority}", slash + path or "/"
    address, _, path = text.partition("!")
    if path and not path.startswith("/"):
        raise UsageFailure(f"the path after '!' must begin with '/': {text}")
    return address, path or "/"


def _from_default(path: str) -> tuple[str, str]:
    default = os.environ.get(URL_VARIABLE, "")
    if not default:
        raise UsageFailure(
            f"{path!r} is a path, and {URL_VARIABLE} does not say in which filesystem: "
            f"set it, or give a whole URL such as oastfs://localhost:8020/{path.lstrip('/')}"
        )
    if not has_scheme(default) or default.partition("://")[2] in ("", "/"):
        raise UsageFailure(f"{URL_VARIABLE} is no URL of a filesystem: {default}")
    address, base = split(default)
    return address, path if path.startswith("/") else f"{base}/{path}"


class LocationType(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """A click argument type for locations, with completion of paths below ``OASTFS_URL``."""

    name = "URL"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Location:
        if isinstance(value, Location):
            return value
        try:
            return parse(str(value))
        except OSError as error:
            from oastfs.cli.failure import explain

            raise UsageFailure(explain(error), ctx) from None

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from oastfs.cli.completion import complete_path

        return complete_path(incomplete)


LOCATION = LocationType()
