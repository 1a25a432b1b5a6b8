"""Sends on a connected socket at once, keeping the interpreter (C; without it transports send all)."""

def send_now(descriptor: int, data: bytes, /) -> int:
    """How many bytes the socket took without waiting. 0 also if it is broken: its transport finds out."""
