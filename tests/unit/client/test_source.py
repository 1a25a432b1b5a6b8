"""Which filesystem the arguments of ``connect`` mean."""

from __future__ import annotations

import pickle

import pytest

from oastfs.client.source import URL_VARIABLE, Direct, ThroughNamenodes, find_source
from oastfs.core.errors import InvalidArgument


def test_namenodes() -> None:
    source = find_source("oastfs://one:1,two/ignored", None, 7.0)
    assert source == ThroughNamenodes((("one", 1), ("two", 8020)), 7.0)
    assert not source.is_local


def test_metadata_urls() -> None:
    assert find_source("lmdb:///srv/oast", None, 1.0) == Direct(("lmdb:///srv/oast",))
    assert find_source(None, "lmdb:///srv/oast", 1.0) == Direct(("lmdb:///srv/oast",))
    several = find_source(None, ["postgresql://a", "postgresql://b"], 1.0)
    assert several == Direct(("postgresql://a", "postgresql://b"))
    assert not several.is_local
    joined = "postgresql://a/x?application_name=b,c,postgresql://d"
    assert find_source(joined, None, 1.0) == find_source(None, joined, 1.0)
    assert find_source(joined, None, 1.0) == Direct(
        ("postgresql://a/x?application_name=b,c", "postgresql://d")
    )


def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(URL_VARIABLE, "lmdb:///srv/default")
    assert find_source(None, None, 1.0) == Direct(("lmdb:///srv/default",))
    monkeypatch.delenv(URL_VARIABLE)
    with pytest.raises(InvalidArgument, match=URL_VARIABLE):
        find_source(None, None, 1.0)


@pytest.mark.parametrize("url", ["nonsense", "oastfs://", "/path", "oastfs://host:port"])
def test_bad_urls(url: str) -> None:
    with pytest.raises(InvalidArgument):
        find_source(url, None, 1.0)


def test_not_both() -> None:
    with pytest.raises(InvalidArgument, match="both"):
        find_source("oastfs://one", "lmdb:///srv/oast", 1.0)
    with pytest.raises(InvalidArgument):
        find_source(None, [], 1.0)


def test_sources_can_be_pickled() -> None:
    for source in (ThroughNamenodes((("one", 1),), 2.0), Direct(("lmdb:///srv/oast",))):
        assert pickle.loads(pickle.dumps(source)) == source
