"""The machine and what every room needs of it: clock, host facts, the lock, API keys, packaged files."""
