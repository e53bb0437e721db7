"""What is kept on disk: the event log as it grows, and the results made from it."""
