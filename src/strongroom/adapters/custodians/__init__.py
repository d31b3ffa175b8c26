"""Custodians as servers of their own: one that is served, and one that is asked from elsewhere."""
