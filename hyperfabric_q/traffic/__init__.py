"""Classical payloads: what is sent, how it is coded and sealed, and what it costs."""
