"""``python -m hyperfabric_q.cli`` is ``hyperfabric-q``."""

from hyperfabric_q.cli import main

main()
