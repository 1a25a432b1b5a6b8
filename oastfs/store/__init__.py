"""The metadata store: tables, transactions, drivers. Knows rows, not filesystems."""
