"""Four tenants of one fabric on one clock: a circuit, memories under correction, training, and keys."""
