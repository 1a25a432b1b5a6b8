"""Types, errors and limits that every layer shares. Imports nothing of OastFS."""
