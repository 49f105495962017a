"""Histories from elsewhere and to elsewhere: Jepsen's EDN, Jepsen's log lines, our own journal.

Each format is read into :class:`~harness.exchange.events.Events`, and those are paired into a history with every defect
of the record named by its line. May import the history, operation and journal layers and the checkers' records; nothing
here starts a server or writes under ``runs/``. Start reading with ``files.py``, then ``events.py`` and ``pairing.py``.
"""
