"""Transactions of a history, for checks of isolation between them.

Owns the records that readers of histories produce. May import nothing of the harness. Start reading with
``transactions.py``.
"""
