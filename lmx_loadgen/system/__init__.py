"""The machine and what every room needs of it: clock, host facts and identity, limits, sleep, the lock, API keys,
packaged files."""
