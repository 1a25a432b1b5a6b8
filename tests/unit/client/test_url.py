"""Addresses of namenodes as people write them."""

from __future__ import annotations

import pytest

from oastfs.client.url import Address, parse_addresses
from oastfs.core.errors import InvalidArgument


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("oastfs://localhost:8020", [("localhost", 8020)]),
        ("oastfs://localhost", [("localhost", 8020)]),
        ("hdfs://nn1:9000/a/b,c:d", [("nn1", 9000)]),
        ("oastfs://a:1,b:2, c/path", [("a", 1), ("b", 2), ("c", 8020)]),
        ("oastfs://[::1]:8021,[fe80::1]/x", [("::1", 8021), ("fe80::1", 8020)]),
    ],
)
def test_addresses(url: str, expected: list[tuple[str, int]]) -> None:
    assert parse_addresses(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8020",
        "lmdb:///srv",
        "oastfs://",
        "oastfs:///path",
        "oastfs://a:0",
        "oastfs://a:65536",
        "oastfs://a:port",
        "oastfs://a:-1",
        "oastfs://a:8020,",
        "oastfs://::1:8020",
        "oastfs://a:٣",
    ],
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_addresses(url)


def test_addresses_are_shown_as_they_are_written() -> None:
    assert str(Address("host", 1)) == "host:1"
    assert str(Address("::1", 1)) == "[::1]:1"
