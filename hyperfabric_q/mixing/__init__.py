"""Which crossing is teleported, which is cut, and which pairs have their errors undone: the planner that mixes."""
