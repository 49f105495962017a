"""mongod's commands on one simulated member: documents in, documents out, with its codes, labels and waits.

May import the kernel, the document engine, the replication core in ``server/`` and bson value types. Start reading with
``dispatch.py`` (what happens to every command), then ``writing.py`` (how a statement becomes an oplog entry or a part
of a transaction), then any command's own file.
"""
