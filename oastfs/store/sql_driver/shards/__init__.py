"""Several PostgreSQL servers as one store: rows by partition, two-phase commit, consistent reads.

docs/decisions/sql-transactions.md says why it is done so.
"""
