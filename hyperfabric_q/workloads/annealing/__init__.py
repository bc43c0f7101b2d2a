"""Binary quadratic problems on annealer nodes: read, bounded, solved, timed, and searched for architectures."""
