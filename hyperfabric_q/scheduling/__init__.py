"""One clock and one scheduler: the kernel, its channels and policies, the asyncio drivers, admission and faults."""
