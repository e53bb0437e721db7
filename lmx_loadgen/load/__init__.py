"""The load: what is sent when, and the process that sends it."""
