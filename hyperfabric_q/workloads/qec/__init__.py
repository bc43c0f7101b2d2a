"""Error correction over a fabric: codes, decoders, loops with deadlines, and what lateness costs; ``hq.qec``."""
