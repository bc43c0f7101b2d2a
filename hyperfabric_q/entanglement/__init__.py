"""Bell pairs: their states, how they are made, kept, swapped and purified, and the service that delivers them."""
