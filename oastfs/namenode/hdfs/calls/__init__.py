"""ClientProtocol's calls by subject. ``load`` imports every module, and so fills ``methods.METHODS``."""

from __future__ import annotations

import pkgutil
from importlib import import_module


def load() -> None:
    """Declare all calls."""
    for module in pkgutil.iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
