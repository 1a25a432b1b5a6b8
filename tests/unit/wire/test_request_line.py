"""Raw UTF-8 in request lines is escaped, and nothing else is changed, wherever the stream is cut."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from oastfs.wire.request_line import RequestLineEscaper

RAW = "GET /webhdfs/v1/ü 漢?op=OPEN HTTP/1.1".encode()
ESCAPED = b"GET /webhdfs/v1/%C3%BC %E6%BC%A2?op=OPEN HTTP/1.1"
BODY = "\r\nGET /ü HTTP/1.1\r\n\r\n".encode()


def fed(stream: bytes, *cuts: int) -> bytes:
    escaper = RequestLineEscaper()
    edges = [0, *sorted(cuts), len(stream)]
    return b"".join(escaper.feed(stream[a:b]) for a, b in itertools.pairwise(edges))


def with_body(line: bytes) -> bytes:
    return line + b"\r\nHost: \xc3\xbc\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY


@given(st.lists(st.integers(0, 400), max_size=12))
def test_request_lines_are_escaped_and_bodies_are_not(cuts: list[int]) -> None:
    plain = b"\r\nHost: here\r\n\r\n"
    stream = with_body(RAW) + b"\r\n" + RAW + plain + with_body(RAW) + RAW + plain
    wanted = with_body(ESCAPED) + b"\r\n" + ESCAPED + plain + with_body(ESCAPED) + ESCAPED + plain
    assert fed(stream, *(min(cut, len(stream)) for cut in cuts)) == wanted


def test_after_a_body_in_chunks_all_is_left_as_it_is() -> None:
    head = b"\r\nTransfer-Encoding: chunked\r\n\r\n"
    rest = b"5\r\n\xc3\xbc\n\n\n\r\n0\r\n\r\n" + RAW
    assert fed(RAW + head + rest) == ESCAPED + head + rest


@given(st.lists(st.binary(max_size=200), max_size=8))
def test_any_bytes_come_through_apart_from_escapes(pieces: list[bytes]) -> None:
    escaper = RequestLineEscaper()
    out = b"".join(escaper.feed(piece) for piece in pieces)
    whole = b"".join(pieces)
    assert out == whole if whole.isascii() else len(out) >= len(whole)
