"""Sizes as options take them: ``65536``, ``64K``, ``128M``, ``1.5G`` (units of 1024)."""

from __future__ import annotations

import re

import click

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGTP]?)(?:i?B)?", re.IGNORECASE)


def parse_size(text: str) -> int:
    """Bytes. Raises ValueError."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"no size: {text} (such as 65536, 64K, 1.5G)")
    return int(float(found[1]) * (1 << 10 * " KMGTP".index(found[2].upper() or " ")))


class SizeType(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """A click type for sizes in bytes."""

    name = "SIZE"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return parse_size(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


SIZE = SizeType()
