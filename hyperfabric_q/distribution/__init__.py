"""Who runs what, and how each crossing is served: partition, lower, replay, verify."""
