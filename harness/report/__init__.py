"""The report: a model built from stored files alone, and the writers that render it.

May import the store and the layers below, never a backend. Start with ``model.py``.
"""
