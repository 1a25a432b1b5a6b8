"""The serving session from bytes: whole, in pieces, mutated and cut off."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oastfs.core.errors import ProtocolError
from oastfs.wire.proto import datatransfer_pb2 as pb
from oastfs.wire.transfer import BlockId, Op, Stage, Target, read_request, write_request
from oastfs.wire.transfer.messages import checksum_request
from oastfs.wire.transfer.ops import REQUESTS, encode_delimited
from oastfs.wire.transfer.session import REQUEST_BYTES_MAX, ServingSession

BLOCK = BlockId(1 << 62 | 1025, 1, 3000)
READ = read_request(BLOCK, 512, 1024, client_name="reader")
CHECKSUM = checksum_request(BLOCK, composite=True)
WRITE = write_request(BLOCK, [Target("127.0.0.1", 9866)], Stage.PIPELINE_SETUP_CREATE)
VERDICT = encode_delimited(pb.ClientReadStatus(status=pb.CHECKSUM_OK))
STREAM = READ + VERDICT + CHECKSUM + READ + VERDICT


def events(session: ServingSession) -> list[object]:
    """All that can be taken now, with a verdict due after each read."""
    found: list[object] = []
    while True:
        due = bool(found) and found[-1] is Op.READ_BLOCK
        event = session.next_verdict() if due else session.next_request()
        if event is None:
            return found
        found.append(event[0] if isinstance(event, tuple) else event)


def test_requests_come_out_as_they_went_in() -> None:
    session = ServingSession()
    session.feed(READ + VERDICT + CHECKSUM + WRITE)
    op, message = session.next_request() or (None, None)
    assert op is Op.READ_BLOCK and isinstance(message, pb.OpReadBlock)
    assert (message.offset, message.len) == (512, 1024)
    assert message.header.baseHeader.block.blockId == BLOCK.block_id
    assert session.next_verdict() == pb.CHECKSUM_OK
    op, message = session.next_request() or (None, None)
    assert op is Op.BLOCK_CHECKSUM and isinstance(message, pb.OpBlockChecksum)
    assert (session.next_request() or [None])[0] is Op.WRITE_BLOCK
    assert session.next_request() is None and len(session) == 0


@pytest.mark.parametrize("step", [1, 2, 3, 7, 50, len(STREAM)])
def test_any_pieces_give_the_same(step: int) -> None:
    session, found = ServingSession(), []
    verdict_due = False
    for at in range(0, len(STREAM), step):
        session.feed(STREAM[at : at + step])
        while True:
            event = session.next_verdict() if verdict_due else session.next_request()
            if event is None:
                break
            found.append(event[0] if isinstance(event, tuple) else event)
            verdict_due = found[-1] is Op.READ_BLOCK
    ok = pb.CHECKSUM_OK
    assert found == [Op.READ_BLOCK, ok, Op.BLOCK_CHECKSUM, Op.READ_BLOCK, ok]


@pytest.mark.parametrize("status", [pb.SUCCESS, pb.CHECKSUM_OK, pb.ERROR_CHECKSUM, pb.ERROR])
def test_verdicts(status: pb.Status.ValueType) -> None:
    session = ServingSession()
    for byte in encode_delimited(pb.ClientReadStatus(status=status)):
        assert session.next_verdict() is None
        session.feed(bytes((byte,)))
    assert session.next_verdict() == status


def test_operations_without_a_message_are_named() -> None:
    unknown = sorted(set(Op) - set(REQUESTS))
    assert unknown
    for op in unknown:
        session = ServingSession()
        session.feed(b"\x00\x1c" + bytes((op,)) + b"whatever")
        assert session.next_request() == (op, None)


@pytest.mark.parametrize(
    "data",
    [
        b"\x01",
        b"\x00\x1b",
        b"\x00\x1c\x00",
        b"\x00\x1c\x51\xff\xff\xff\xff\xff",
        b"\x00\x1c\x51\x03\xff\xff\xff",
        b"\x00\x1c\x51\x81\x80\x04",  # one byte over the limit is promised
    ],
)
def test_nonsense_is_refused_at_once(data: bytes) -> None:
    session = ServingSession()
    session.feed(data)
    with pytest.raises(ProtocolError):
        session.next_request()


def test_the_longest_message_is_taken() -> None:
    request = pb.OpReadBlock.FromString(READ[4 if READ[3] < 0x80 else 5 :])
    request.header.clientName = "c" * (REQUEST_BYTES_MAX - request.ByteSize() - 2)
    encoded = b"\x00\x1c\x51" + encode_delimited(request)
    session = ServingSession()
    session.feed(encoded[:-1])
    assert session.next_request() is None
    session.feed(encoded[-1:])
    assert (session.next_request() or [None])[0] is Op.READ_BLOCK


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_mutated_streams(data: st.DataObject) -> None:
    stream = bytearray(STREAM)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(stream)))
        kind = data.draw(st.sampled_from(["set", "insert", "remove", "cut"]))
        if kind == "insert":
            stream[at:at] = data.draw(st.binary(min_size=1, max_size=8))
        elif kind == "remove":
            del stream[at : at + data.draw(st.integers(1, 8))]
        elif kind == "cut":
            del stream[at:]
        elif at < len(stream):
            stream[at] = data.draw(st.integers(0, 255))
    step = data.draw(st.integers(1, 300))
    session = ServingSession()
    with contextlib.suppress(ProtocolError):
        for begin in range(0, len(stream), step):
            session.feed(bytes(stream[begin : begin + step]))
            events(session)
    assert len(session) <= len(stream)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=10))
def test_random_streams(pieces: list[bytes]) -> None:
    session = ServingSession()
    with contextlib.suppress(ProtocolError):
        for piece in [b"\x00\x1c", *pieces]:
            session.feed(piece)
            events(session)
