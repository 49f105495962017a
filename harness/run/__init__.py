"""Running a cell: clients, nemesis, drain, final reads, judging; and campaigns of many cells.

May import backends, faults, checkers and everything below. Start with ``execute.py``.
"""
