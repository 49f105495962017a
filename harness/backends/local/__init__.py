"""A replica set of mongod processes on this machine: found, started, observed, struck and ended.

Owns the processes, their private directory and the commands sent to single members; what lies between the processes
is made by ``harness.backends.links``. Start reading with ``backend.py``; ``guardian.py`` keeps the promise that no
process outlives the harness.
"""
