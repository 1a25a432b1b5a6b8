"""Functions that note what they are called with, to be put in the place of others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def noting(function: Callable[..., T], seen: list[Any]) -> Callable[..., T]:
    """``function``, but the first argument of every call is added to ``seen`` beforehand."""

    def noted(first: Any, *rest: Any) -> T:
        seen.append(first)
        return function(first, *rest)

    return noted
