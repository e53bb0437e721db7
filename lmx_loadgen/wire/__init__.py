"""Bytes with their times and nothing else: the httpx transport, its connection and response, stamps, limits."""
