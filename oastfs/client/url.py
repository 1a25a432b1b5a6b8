"""Addresses as people write them."""

from __future__ import annotations

from typing import Final, NamedTuple

from oastfs.core.errors import InvalidArgument

DEFAULT_PORT: Final = 8020
SCHEMES: Final = ("oastfs", "hdfs")


class Address(NamedTuple):
    """Where one server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_addresses(url: str) -> list[Address]:
    """The namenodes of ``oastfs://HOST[:PORT][,HOST[:PORT]...][/path]``; the port is 8020 by default.

    IPv6 addresses are in brackets. Raises InvalidArgument.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in SCHEMES:
        raise InvalidArgument(f"an address of namenodes is oastfs://HOST:PORT[,HOST:PORT], not {url!r}")
    return [_parse_one(part.strip(), url) for part in rest.partition("/")[0].split(",")]


def metadata_urls(text: str) -> list[str]:
    """The metadata URLs in ``text``: one, or several servers as shards, separated by commas.

    Empty if it names namenodes, or is no URL.
    """
    if "://" not in text or text.partition("://")[0] in SCHEMES:
        return []
    urls: list[str] = []
    for piece in text.split(","):
        if "://" in piece or not urls:
            urls.append(piece)
        else:
            urls[-1] += f",{piece}"  # a comma within a URL
    return urls


def _parse_one(text: str, url: str) -> Address:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, str(DEFAULT_PORT)
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    if not host or (":" in host and not bracketed):
        raise InvalidArgument(f"no host in {text!r} of {url!r}")
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise InvalidArgument(f"a port is 1 to 65535, not {port!r}, in {url!r}")
    return Address(host, int(port))
