"""Sizes of files: the mix of Spotify's cluster, or one size for all."""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Callable
from itertools import accumulate

from oastfs.core.errors import InvalidArgument

KIB = 1024
SPOTIFY_KIB_PERCENT: dict[int, float] = {
    0: 0.3,
    1: 6.3,
    2: 7.2,
    3: 8.5,
    4: 9.6,
    5: 10.2,
    6: 10.5,
    7: 10.8,
    8: 11.0,
    16: 11.9,
    32: 13.7,
}
"""Small files at Spotify as the load generator of HopsFS suggests them: size in KiB, share in per cent."""

_SIZES = [kib * KIB for kib in SPOTIFY_KIB_PERCENT]
_CUMULATED = list(accumulate(SPOTIFY_KIB_PERCENT.values()))
SPOTIFY_MEAN_BYTES = (
    sum(size * share for size, share in zip(_SIZES, SPOTIFY_KIB_PERCENT.values(), strict=True)) / 100
)

Draw = Callable[[random.Random], int]


def spotify_size(rng: random.Random) -> int:
    """A size of the mix, in bytes."""
    return _SIZES[bisect(_CUMULATED, rng.random() * _CUMULATED[-1])]


def size_drawer(text: str) -> Draw:
    """Draws sizes as ``text`` says: ``spotify``, or a number of bytes. Raises InvalidArgument."""
    if text == "spotify":
        return spotify_size
    if not text.isdecimal():
        raise InvalidArgument(f"sizes are `spotify` or a number of bytes, not {text!r}")
    size = int(text)
    return lambda _: size
