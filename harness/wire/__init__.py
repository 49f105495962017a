"""The wire front: the simulated replica set on loopback ports, for real drivers, in real time.

May import the simulator (``harness.sim``), trio and bson; never a PyMongo client. Start reading with ``server.py`` (who
listens, and what one connection does), then ``pump.py`` (how virtual time follows the clock), then ``op_msg.py``.
"""
