"""Homes are made here again and again, each object synced: in memory where that can be."""

from tests.support.in_memory import memory_path

__all__ = ["memory_path"]
