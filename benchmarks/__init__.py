"""Measured figures, side by side with peers in one run: ``python -m benchmarks`` runs them all.

Each module has ``measure(rounds, seconds)``, which returns a list of ``{name, unit, ours, peer, ratio}``. Machines are
noisy: quote ratios and medians of interleaved rounds, never a single time.
"""
