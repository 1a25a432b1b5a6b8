"""Texts that are none are found wherever they are in a message."""

from __future__ import annotations

import pytest
from google.protobuf.message import Message

from oastfs.core.errors import ProtocolError
from oastfs.wire.proto import datatransfer_pb2 as pb
from oastfs.wire.texts import check_texts

BAD = b"\xff\xfe"


@pytest.mark.parametrize(
    "message",
    [
        pb.ShortCircuitShmRequest(clientName="text"),
        pb.OpTransferBlock(targetStorageIds=["fine", "text"]),
        pb.BaseHeader(block=pb.ExtendedBlock(poolId="text")),
        pb.OpReadBlock(
            header=pb.ClientOperationHeader(baseHeader=pb.BaseHeader(token=pb.Token(kind="text")))
        ),
        pb.OpTransferBlock(targets=[pb.DatanodeInfo(), pb.DatanodeInfo(id=pb.DatanodeID(ipAddr="text"))]),
    ],
)
def test_wherever_it_is(message: Message) -> None:
    encoded = message.SerializePartialToString()
    check_texts(type(message).FromString(encoded))
    bad = type(message).FromString(encoded.replace(b"text", BAD + BAD))
    with pytest.raises(ProtocolError, match="UTF-8"):
        check_texts(bad)


def test_bytes_may_be_anything() -> None:
    check_texts(pb.Token(identifier=BAD, password=BAD, kind="", service=""))
