"""Where data comes from and goes back to: SQLite databases, directory trees, single files.

Each kind has a source and a target, of the protocols in `vault/source.py`. A restore is parsing
hostile input, so the targets trust no name, link or mode that they are handed.
"""
