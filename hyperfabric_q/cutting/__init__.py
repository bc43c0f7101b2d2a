"""PRICE IN SHOTS: circuits in pieces that share no entanglement, put together from what each piece measured."""
