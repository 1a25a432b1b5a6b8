"""Every verb with the right types and any values: an answer or an error of ours, never a crash."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oastfs.client.remote import RemoteMetadata
from oastfs.core.errors import OastError
from oastfs.core.metadata import Metadata
from oastfs.core.types import SUPERUSER, BlockCommit, Caller, WriteRequest
from oastfs.namenode.server.process import Endpoints, namenode_thread
from oastfs.wire.verbs import VERBS
from tests.unit.namenode.server.conftest import HOST, make_config
from tests.unit.namenode.server.test_native import populate

EXTREMES = [-(2**63), -(2**31), -2, -1, 0, 1, 2, 7, 2**31, 2**32, 2**62, 2**63 - 1, 2**63, 2**64 - 1]
integers = st.sampled_from(EXTREMES) | st.integers(-(2**63), 2**64 - 1)
names = st.sampled_from(
    ["file", "directory", "symlink", "open", "writer", "user.x", ".", "..", "", "n" * 256]
)
numbers = st.sampled_from(["1", "2", "0", "-1", "x", "99999999999999999999", str(2**63)])
texts = st.one_of(
    names,
    names.map(lambda name: f"/{name}"),
    st.sampled_from(["/", "//", "/file/below", "/directory/new", "/nul\0", "/" + "d/" * 1200, "/.reserved"]),
    numbers.map(lambda number: f"/.reserved/.inodes/{number}"),
    st.tuples(numbers, names).map(lambda both: f"/.reserved/.inodes/{both[0]}/{both[1]}"),
    st.text(max_size=12),
)
callers = st.just(SUPERUSER) | st.builds(Caller, texts, integers, st.lists(integers, max_size=3).map(tuple))

for kind, strategy in (
    (int, integers),
    (str, texts),
    (BlockCommit, st.builds(BlockCommit, *[integers] * 4, st.lists(integers, max_size=3).map(tuple))),
    (WriteRequest, st.builds(WriteRequest, texts, st.binary(max_size=9), integers, st.booleans())),
):
    st.register_type_strategy(kind, strategy)


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteMetadata]:
    endpoints: Endpoints
    with namenode_thread(make_config(tmp_path_factory.mktemp("fuzz"))) as endpoints:
        client = RemoteMetadata([(HOST, endpoints.port)], timeout_seconds=20)
        populate(client)
        yield client
        client.close()


def arguments_of(verb: str) -> st.SearchStrategy[tuple[Any, ...]]:
    parameters = list(inspect.signature(getattr(Metadata, verb), eval_str=True).parameters.values())[2:]
    return st.tuples(*[st.from_type(parameter.annotation) for parameter in parameters])


@pytest.mark.parametrize("verb", sorted(VERBS))
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_values(remote: RemoteMetadata, verb: str, data: st.DataObject) -> None:
    caller, arguments = data.draw(callers), data.draw(arguments_of(verb))
    try:
        remote.call(verb, caller, *arguments)
    except OastError as error:
        assert "unexpectedly" not in error.message, (verb, caller, arguments)
