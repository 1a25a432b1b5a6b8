"""Asking a server's HTTP port, where an answer that refuses is an answer like any other."""

from __future__ import annotations

import urllib.error
import urllib.request

HOST = "127.0.0.1"


def get(port: int, path: str, timeout_seconds: float = 20) -> tuple[int, str]:
    """(status, body) of ``path``; OSError if nobody answers.

    An error that urllib raises holds its connection until it is closed: left to the
    collector it would come up as a warning, in whichever test is running by then.
    """
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}{path}", timeout=timeout_seconds) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read().decode()
