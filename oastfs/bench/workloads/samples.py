"""Real contents for small files: JPEGs cut from photographs, and pieces of source text.

The photographs are the two that scikit-learn ships; the text is the standard library of this Python. So
measurements need no download, and what is stored compresses as such data does. Which samples there are
depends on the seed alone.
"""

from __future__ import annotations

import io
import random
import sysconfig
from functools import lru_cache
from pathlib import Path
from typing import Any

from oastfs.bench.workloads.sizes import spotify_size
from oastfs.core.errors import InvalidArgument, Unsupported

KINDS = ("images", "files")
EDGE_MIN, EDGE_MAX = 48, 160
"""Of a cut image, in pixels: a few KiB each."""
QUALITY = 90
_TEXT_BYTES = 8 << 20


@lru_cache(maxsize=4)
def samples(kind: str, count: int, seed: int) -> tuple[bytes, ...]:
    """``count`` contents, made once in a process. Raises InvalidArgument; Unsupported without the extra."""
    if kind not in KINDS:
        raise InvalidArgument(f"small files are {' or '.join(KINDS)}, not {kind!r}")
    rng = random.Random(f"{seed}/{kind}")
    return _images(count, rng) if kind == "images" else _texts(count, rng)


def decode(data: bytes) -> int:
    """Decode a JPEG as a training program does; how many pixels it has."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return int(image.width * image.height)


def _images(count: int, rng: random.Random) -> tuple[bytes, ...]:
    photographs = _photographs()
    made = []
    for number in range(count):
        photograph = photographs[number % len(photographs)]
        width, height = rng.randint(EDGE_MIN, EDGE_MAX), rng.randint(EDGE_MIN, EDGE_MAX)
        left = rng.randint(0, photograph.width - width)
        top = rng.randint(0, photograph.height - height)
        buffer = io.BytesIO()
        cut = photograph.crop((left, top, left + width, top + height))
        cut.save(buffer, "JPEG", quality=QUALITY)
        made.append(buffer.getvalue())
    return tuple(made)


def _photographs() -> list[Any]:
    try:
        from PIL import Image
        from sklearn.datasets import load_sample_images
    except ImportError:
        raise Unsupported(
            "images need scikit-learn and Pillow: pip install 'oastfs[bench]', or choose --data files"
        ) from None
    return [Image.fromarray(pixels) for pixels in load_sample_images().images]


def _texts(count: int, rng: random.Random) -> tuple[bytes, ...]:
    text = _source_text()
    made = []
    for _ in range(count):
        size = spotify_size(rng)
        start = rng.randrange(len(text) - size)
        made.append(text[start : start + size])
    return tuple(made)


def _source_text() -> bytes:
    pieces: list[bytes] = []
    missing = _TEXT_BYTES
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        pieces.append(path.read_bytes())
        missing -= len(pieces[-1])
        if missing <= 0:
            break
    text = b"".join(pieces)
    if len(text) < 1 << 20:
        raise Unsupported("this Python's standard library has no source text")
    return text
