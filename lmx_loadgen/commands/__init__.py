"""One file a command: find the input, call the rooms, print."""
