"""The document engine: what mongod does to one document, as pure functions of values.

It owns BSON order and equality, dotted paths, filters, projections, sorts, updates, aggregation expressions and the
keys of indexes; it knows neither collections nor commands nor time (a caller passes ``now``). Documents are plain
dicts and lists that nobody mutates: :func:`values.normalise` copies a caller's document once, every function after
it expects normalised values and shares what it does not change. May import ``harness.errors``, ``bson`` value types
and the standard library's pure modules. Start with ``values.py`` and ``order.py``, then ``match.py`` and ``update.py``.
"""
