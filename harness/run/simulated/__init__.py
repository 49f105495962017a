"""Runs on the simulated replica set: one run in virtual time, the nemesis whose strikes are choices, and campaigns.

May import the simulator, the explorer, faults, checkers and everything below. Start reading with ``execute.py``.
"""
