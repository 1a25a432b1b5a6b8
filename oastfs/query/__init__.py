"""The namespace as SQL tables, for people: DuckDB over the rows of any store.

``catalog.py`` says which tables and columns there are, ``sources.py`` streams the store's rows as Arrow
batches, ``engine.py`` finds out what a query needs, loads that and no more, and runs it.
"""

from oastfs.query.engine import Query, Result

__all__ = ["Query", "Result"]
