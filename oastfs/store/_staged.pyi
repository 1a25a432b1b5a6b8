"""Writes of one operation, kept aside (C; ``staged.py`` has it in Python)."""

from oastfs.store.staged import PythonStage

Stage = PythonStage
