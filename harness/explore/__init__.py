"""Exploring schedules: strategies, exhaustive search, replay, shrinking, explanations, audits, seeds over processes.

It works on a program (``program.py``): whatever executes a workload under a strategy and judges the execution. May
import the kernel of the simulator, scenario records, histories and everything below. Start reading with ``program.py``,
then ``strategies.py``.
"""
