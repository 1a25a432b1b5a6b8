"""Random and mutated bytes: requests, a ProtocolError, or waiting for more; nothing else."""

from __future__ import annotations

import contextlib

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from oastfs.core.errors import InvalidArgument, ProtocolError
from oastfs.core.types import SUPERUSER
from oastfs.wire.hadoop_rpc import Request, ServerSession, encode_response
from oastfs.wire.hadoop_rpc_client import FIRST_CALL_ID, RequestEncoder, decode_response
from oastfs.wire.verbs import PROTOCOL, VERBS, encode_arguments

CLIENT = bytes(16)
ENCODER = RequestEncoder(CLIENT, PROTOCOL, "fuzz")
GOOD = ENCODER.preamble() + b"".join(
    ENCODER.encode(FIRST_CALL_ID + number, 0, "stat", encode_arguments((SUPERUSER, "/a/b", True)))
    for number in range(3)
)
ANSWER = encode_response(Request(FIRST_CALL_ID, CLIENT, 0, PROTOCOL, "stat", b""), b"\x91\x01" * 20)[4:]


@st.composite
def mutated(draw: st.DrawFn, original: bytes) -> bytes:
    """``original`` with bytes changed, cut out, put in, or cut off."""
    data = bytearray(original)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        kind = draw(st.sampled_from(["set", "insert", "remove", "cut"]))
        if kind == "set" and data:
            data[at] = draw(st.integers(0, 255))
        elif kind == "insert":
            data[at:at] = draw(st.binary(min_size=1, max_size=8))
        elif kind == "remove":
            del data[at : at + draw(st.integers(1, 8))]
        else:
            del data[at:]
    return bytes(data)


def consume(data: bytes, step: int) -> None:
    session = ServerSession()
    with contextlib.suppress(ProtocolError):
        for start in range(0, len(data), step):
            session.feed(data[start : start + step])
            while (request := session.next_request()) is not None:
                verb = VERBS.get(request.method)
                if verb is not None:
                    with contextlib.suppress(InvalidArgument):
                        verb.decode_arguments(request.body)
    session.take_output()


@settings(max_examples=400)
@given(mutated(GOOD), st.integers(1, 400))
def test_mutated_requests(data: bytes, step: int) -> None:
    consume(data, step)


@settings(max_examples=200)
@given(st.binary(max_size=300), st.booleans())
def test_random_requests(data: bytes, after_preamble: bool) -> None:
    consume(ENCODER.preamble() + data if after_preamble else data, 64)


@settings(max_examples=300)
@given(st.one_of(mutated(ANSWER), st.binary(max_size=200)))
def test_answers(data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        response = decode_response(data)
        VERBS["stat"].decode_result(response.body)


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(),
    st.text(max_size=5),
    st.binary(max_size=5),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=400)
@given(st.sampled_from(sorted(VERBS)), values | st.lists(values, max_size=8))
def test_wrong_arguments_are_invalid_arguments(verb: str, value: object) -> None:
    with contextlib.suppress(InvalidArgument):
        decoded = VERBS[verb].decode_arguments(msgspec.msgpack.encode(value))
        assert isinstance(decoded, tuple)
