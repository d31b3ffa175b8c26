"""Adapters: the outside world, one vendor or protocol a file.

Each implements a protocol of a room below and turns what the vendor raises into that room's
errors. Only `strongroom.app` imports them.
"""
