"""The seams of the harness: what a backend, a link, a fault, a checker and the pattern API look like.

Protocols and the small records that they exchange; no behaviour. May import the layers below (settings, history,
operation, verdict, errors) and nothing above. Start with ``backend.py``.
"""
