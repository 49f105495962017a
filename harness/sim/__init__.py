"""The simulated replica set: the same scenario files in virtual time, deterministic, replayable.

Owns the kernel (coroutines, virtual time, choices), the document engine, the simulated servers, the driver model above
them and the simulated faults. May import the option, error and value types of pymongo and bson, never a client; no
threads, sockets, wall clock or unseeded random. Start reading with ``kernel/loop.py``, then ``server/records.py``.
"""
