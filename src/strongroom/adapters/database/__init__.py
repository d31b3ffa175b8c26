"""Databases to keep rows in: SQLite, embedded and without any set-up."""
