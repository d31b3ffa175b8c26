"""Strongroom: backups a small team can prove.

The tree is the architecture: one room per word of the glossary, imports go down only.
Start at `app/` (what is plugged in) or `operations/` (the sentences the system can say).
"""

__version__ = "0.1.0"
