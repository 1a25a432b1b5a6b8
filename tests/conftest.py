"""Fixtures for every test. Direct mode is `store` and `namespace`; servers are in tests/system."""

from __future__ import annotations
