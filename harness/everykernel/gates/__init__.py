"""Gates: what decides whether a run is red. Reads results, a baseline and rules, compares them, and prints nothing.

Knows records and kernels' numbers, nothing of guests, terminals or places where verdicts are told.
"""
