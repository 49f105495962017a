"""The simulated replica set: members, elections, replication, and mongod's commands, documents in and out.

May import the kernel, the document engine and bson value types. Start reading with ``records.py`` (what is held), then
``replica_set.py`` (who holds it), then ``commands/`` (what can be asked).
"""
