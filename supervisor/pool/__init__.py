"""The pool as values and decisions: events and the time in, orders out. No I/O, no redis, arq or asyncio."""
