"""A flame graph: an SVG file that needs nothing from elsewhere.

Each box is a function, as wide as the time that it and what it called took; what it called is above it. A
click shows a box's part alone, a click on the ground all of it; a box that is pointed at tells its share.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from html import escape
from typing import Final

from oastfs.diagnostics.sampler import Stacks

WIDTH: Final = 1200
ROW: Final = 17
TOP: Final = 44
_NARROWEST: Final = 0.3
"""Pixels; what is narrower is left out."""
_CHARACTER: Final = 6.6
"""Pixels that a letter takes."""


@dataclass
class _Box:
    name: str
    seconds: float = 0.0
    above: dict[str, _Box] = field(default_factory=dict)


def draw(stacks: Stacks, title: str) -> str:
    """The picture of some stacks."""
    ground = _Box("all")
    for stack, seconds in stacks.items():
        ground.seconds += seconds
        box = ground
        for name in stack:
            box = box.above.setdefault(name, _Box(name))
            box.seconds += seconds
    boxes: list[tuple[int, float, _Box]] = []
    _place(ground, 0, 0.0, WIDTH / max(ground.seconds, 1e-9), boxes)
    height = TOP + ROW * (max((depth for depth, _, _ in boxes), default=0) + 2)
    parts = [_HEAD.format(width=WIDTH, height=height, title=escape(title))]
    for depth, x, box in boxes:
        parts.append(_box(depth, x, box, ground.seconds, height))
    parts.append("</g></svg>\n")
    return "\n".join(parts)


def _place(box: _Box, depth: int, x: float, pixels: float, boxes: list[tuple[int, float, _Box]]) -> None:
    """Positions, without recursion: a stack may be deeper than Python's own may be."""
    pending = [(box, depth, x)]
    while pending:
        box, depth, x = pending.pop()
        boxes.append((depth, x, box))
        for name in sorted(box.above):
            above = box.above[name]
            if above.seconds * pixels >= _NARROWEST:
                pending.append((above, depth + 1, x))
            x += above.seconds * pixels


def _box(depth: int, x: float, box: _Box, total: float, height: int) -> str:
    width = max(box.seconds / max(total, 1e-9) * WIDTH, _NARROWEST)
    y = height - ROW * (depth + 2)
    share = f"{100 * box.seconds / max(total, 1e-9):.1f}% ({box.seconds:.3f} s)"
    shown = _label(box.name, int((width - 4) / _CHARACTER))
    name = escape(box.name, quote=True)
    return (
        f'<g class="b" data-x="{x:.2f}" data-w="{width:.2f}" data-d="{depth}" data-n="{name}">'
        f"<title>{name}: {share}</title>"
        f'<rect x="{x:.2f}" y="{y}" width="{width:.2f}" height="{ROW - 1}" fill="{_colour(box.name)}"/>'
        f'<text x="{x + 3:.2f}" y="{y + 12}">{escape(shown)}</text></g>'
    )


def _label(name: str, letters: int) -> str:
    """What fits: all of a name, or the function without its module, or the beginning of that."""
    if len(name) <= letters:
        return name
    short = name.rpartition(":")[2]
    if len(short) <= letters:
        return short
    return f"{short[: letters - 1]}…" if letters > 2 else ""


def _colour(name: str) -> str:
    """Warm for OastFS, cool for the rest; the same for the same module."""
    shade = zlib.crc32(name.partition(":")[0].encode()) % 40
    if name.startswith("oastfs/"):
        return f"hsl({15 + shade}, 85%, {62 + shade % 12}%)"
    if name.startswith("["):
        return "hsl(0, 0%, 80%)"
    return f"hsl({180 + shade}, 35%, {72 + shade % 10}%)"


_HEAD: Final = """<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">
<title>{title}</title>
<style>
text {{ font: 11px monospace; fill: #222; pointer-events: none }}
.title {{ font: bold 15px sans-serif }}
.b {{ cursor: pointer }}
.b:hover rect {{ stroke: #000; stroke-width: 0.7 }}
</style>
<script><![CDATA[
window.addEventListener("load", () => {{
  const boxes = [...document.querySelectorAll(".b")];
  const value = (box, key) => parseFloat(box.getAttribute("data-" + key));
  const show = (chosen) => {{
    const x0 = value(chosen, "x"), width = value(chosen, "w"), depth = value(chosen, "d");
    for (const box of boxes) {{
      const below = value(box, "d") < depth;
      const x = (value(box, "x") - x0) / width * {width}, w = value(box, "w") / width * {width};
      const left = below ? 0 : x, wide = below ? {width} : w;
      const outside = x + w <= 0.01 || x >= {width} - 0.01;
      box.style.display = outside ? "none" : "";
      const rect = box.querySelector("rect"), text = box.querySelector("text");
      rect.setAttribute("x", left);
      rect.setAttribute("width", wide);
      rect.style.opacity = below ? 0.5 : 1;
      text.setAttribute("x", left + 3);
      const name = box.getAttribute("data-n"), letters = Math.floor((wide - 4) / 6.6);
      const short = name.slice(name.lastIndexOf(":") + 1);
      text.textContent = name.length <= letters ? name : short.length <= letters ? short
        : letters > 2 ? short.slice(0, letters - 1) + "…" : "";
    }}
  }};
  for (const box of boxes) box.addEventListener("click", () => show(box));
}});
]]></script>
<rect width="{width}" height="{height}" fill="#fffdf7"/>
<text class="title" x="8" y="24">{title}</text>
<g>"""
