"""Databases that exist must learn of every change of the declaration: no change of it without a migration.

``version_1.txt`` lists the columns of the first version's tables. It never changes once there are
databases of it; what is declared beyond it must be in MIGRATIONS, below SCHEMA_VERSION or at it.
"""

from __future__ import annotations

from pathlib import Path

from oastfs.store.schema import SCHEMA_VERSION, TABLES
from oastfs.store.sql_driver.layout import layouts
from oastfs.store.sql_driver.migrations import MIGRATIONS, AddField, AddIndex, AddTable

FIRST = Path(__file__).with_name("version_1.txt")


def declared() -> set[str]:
    lines = set()
    for table, layout in layouts(partitioned=False).items():
        names = [*layout.key, *layout.values]
        types = [*layout.key_types, *layout.value_types]
        lines |= {f"{table.name}.{name} {kind}" for name, kind in zip(names, types, strict=True)}
        lines |= {f"{table.name} index {index.name}" for index in table.indexes}
    return lines


def added() -> set[str]:
    """What the migrations up to SCHEMA_VERSION add, in the form of ``declared``."""
    found = set()
    lines = declared()
    for step in (step for version in range(2, SCHEMA_VERSION + 1) for step in MIGRATIONS[version]):
        if isinstance(step, AddTable):
            found |= {line for line in lines if line.startswith((f"{step.table}.", f"{step.table} index "))}
        elif isinstance(step, AddField):
            found |= {line for line in lines if line.startswith(f"{step.table}.{step.field} ")}
        elif isinstance(step, AddIndex):
            found.add(f"{step.table} index {step.index}")
    return found


def test_every_change_has_a_migration() -> None:
    first = set(FIRST.read_text().splitlines())
    assert declared() - first - added() == set(), "raise SCHEMA_VERSION and add these to MIGRATIONS"
    assert first - declared() == set(), "migrations may only add"


def test_migrations_are_of_known_versions() -> None:
    assert set(MIGRATIONS) == set(range(2, SCHEMA_VERSION + 1))
    names = {table.name for table in TABLES}
    assert all(step.table in names for steps in MIGRATIONS.values() for step in steps)
