"""The real servers that a scenario can run on, the links between their processes, and the driver of the clients.

May import ``harness.interfaces`` and what lies below it; alone in the harness it speaks to PyMongo's clients, to
Toxiproxy and to operating-system processes. Start with ``harness/interfaces/backend.py``, then ``local/backend.py``.
"""
