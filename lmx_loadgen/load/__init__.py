"""The measuring processes: what is sent when, the worker that sends it, and the driver that feeds workers."""
