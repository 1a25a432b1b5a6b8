"""A profile over HTTP, for servers that have a port: ``/profile?seconds=10&rate=100&wall=0``.

The answer is text, a line for each stack; `oastfs profile HOST:PORT` draws it.
"""

from __future__ import annotations

import asyncio

from aiohttp import web

from oastfs.core.errors import OastError
from oastfs.diagnostics import sampler


async def profile(request: web.Request) -> web.Response:
    """Profile this process for a while and answer then."""
    asked = request.query
    try:
        seconds, rate = float(asked.get("seconds", "10")), int(asked.get("rate", "100"))
    except ValueError:
        return web.Response(status=400, text="seconds and rate are numbers\n")
    try:
        stacks = await asyncio.to_thread(sampler.take, seconds, rate, asked.get("wall", "0") == "1")
    except OastError as error:
        return web.Response(status=400, text=f"{error.message}\n")
    return web.Response(text=sampler.folded(stacks))
