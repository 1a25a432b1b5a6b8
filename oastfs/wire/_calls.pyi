"""Calls of Hadoop RPC from their frames, and frames of answers (C; ``hadoop_rpc.py`` has both in Python)."""

def decode_call(frame: bytes, /) -> tuple[int, bytes, int, bytes, int] | None:
    """Call id, client id, retry count, encoded names, and where the arguments begin.

    None for what is no call or not in order, and for headers with more than the fields that all clients send.
    """

def decode_lone_call(data: bytes, /) -> tuple[int, bytes, int, bytes, int] | None:
    """As ``decode_call``, of a frame with its length before it and nothing behind it."""

def encode_answer(call_id: int, client_id: bytes, retry_count: int, body: bytes, /) -> bytes:
    """The frame of a successful answer."""
