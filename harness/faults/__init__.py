"""Faults: what strikes a replica set, how it is healed, and how its effect is proved.

May import the interfaces and what lies below them; of the driver's packages only ``bson``, for the probe's bytes.
Start with ``catalogue.py`` (the names), then ``partitions.py`` for a fault, ``effects.py`` for the rules that say
whether a strike had an effect, ``schedule.py`` for when they strike and ``nemesis.py`` for who runs them.
"""
