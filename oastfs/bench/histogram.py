"""Latencies in log-linear buckets: three significant digits at any magnitude, a fixed cost, exact counts.

The buckets are those of HdrHistogram for three digits. Its Python package is the yardstick in the tests and
not used here: a recorded value costs it 0.9 us, and this a third of that, where a whole stat takes ten.
Buckets that nothing fell into take no space, so each caller and each kind of operation can have a histogram
of its own.
"""

from __future__ import annotations

import base64
import zlib
from array import array
from collections.abc import Iterator
from typing import Any

_BITS = 11
"""Values below 2**11 are exact, and above it the first 11 bits count: a bucket is 1/1024 wide at most."""
_SHIFT, _MASK = 12, (1 << 12) - 1

PERCENTILES = (50.0, 90.0, 99.0, 99.9, 99.99)


class Histogram:
    """Counts of values that are not negative, in nanoseconds for latencies."""

    __slots__ = ("_buckets", "count", "max", "min", "total")

    def __init__(self) -> None:
        self._buckets: dict[int, int] = {}
        self.count = 0
        self.total = 0
        self.min = 0
        self.max = 0

    def record(self, value: int) -> None:
        """One value."""
        shift = value.bit_length() - _BITS
        key = (shift << _SHIFT) + (value >> shift) if shift > 0 else value
        buckets = self._buckets
        buckets[key] = buckets.get(key, 0) + 1
        self.total += value
        if value > self.max:
            self.max = value
        if value < self.min or not self.count:
            self.min = value
        self.count += 1

    def add(self, other: Histogram) -> None:
        """All that another one counted."""
        for key, count in other._buckets.items():
            self._buckets[key] = self._buckets.get(key, 0) + count
        if other.count:
            self.min = min(self.min, other.min) if self.count else other.min
        self.max = max(self.max, other.max)
        self.count += other.count
        self.total += other.total

    @property
    def mean(self) -> float:
        """The exact mean; 0.0 of nothing."""
        return self.total / self.count if self.count else 0.0

    def buckets(self) -> Iterator[tuple[int, int]]:
        """(largest value of the bucket, count) in order of values."""
        # Keys are in order of their values: the shift is in the high bits, and unshifted ones come first.
        for key in sorted(self._buckets):
            shift = key >> _SHIFT
            yield ((key & _MASK) + 1 << shift) - 1, self._buckets[key]

    def percentile(self, percent: float) -> int:
        """A value that this share of all is not above; the maximum bounds it. 0 of nothing."""
        return self.percentiles((percent,))[0]

    def percentiles(self, percents: tuple[float, ...]) -> list[int]:
        """``percentile`` of several, which ascend, in one pass."""
        found: list[int] = []
        # As HdrHistogram: at least one value, and a half is rounded up.
        wanted = [max(1, int(self.count * percent / 100 + 0.5)) for percent in percents]
        seen = 0
        for value, count in self.buckets():
            seen += count
            while len(found) < len(wanted) and seen >= wanted[len(found)]:
                found.append(min(value, self.max))
        return found + [self.max] * (len(wanted) - len(found))

    def to_json(self) -> dict[str, Any]:
        """All of it for a JSON document; the buckets packed."""
        flat = array("Q", [number for pair in sorted(self._buckets.items()) for number in pair])
        packed = base64.b64encode(zlib.compress(flat.tobytes())).decode()
        return {"count": self.count, "total": self.total, "min": self.min, "max": self.max, "packed": packed}

    @staticmethod
    def from_json(document: dict[str, Any]) -> Histogram:
        """What ``to_json`` made a document of."""
        histogram = Histogram()
        flat = array("Q")
        flat.frombytes(zlib.decompress(base64.b64decode(document["packed"])))
        histogram._buckets = dict(zip(flat[::2], flat[1::2], strict=True))
        for name in ("count", "total", "min", "max"):
            setattr(histogram, name, int(document[name]))
        return histogram


def latency_us(histogram: Histogram) -> dict[str, float]:
    """Microseconds at the usual percentiles, the mean and the largest; nothing of nothing."""
    if not histogram.count:
        return {}
    values = histogram.percentiles(PERCENTILES)
    found = {f"p{percent:g}": value / 1000 for percent, value in zip(PERCENTILES, values, strict=True)}
    return {**found, "mean": histogram.mean / 1000, "max": histogram.max / 1000}
