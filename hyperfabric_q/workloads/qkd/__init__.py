"""Quantum key distribution over the pairs of a fabric, and the keys that come of it."""
