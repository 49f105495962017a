"""The report: a model built from stored files alone, and the writers that render it.

Owns the page, the summary, the JUnit file, the verdict table and the index of the store; how they look lies in
``reports/``. May import the store and the layers below, and how a run is drawn
(``explore/diagram.py``), never a backend, a driver or trio; pandas is imported here
alone. Start with ``model.py``, then ``build.py``.
"""
