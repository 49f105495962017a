"""Scenarios: the record that wraps a pattern, and what loads it from a file.

May import the interfaces and the layers below. Start with ``record.py``.
"""
