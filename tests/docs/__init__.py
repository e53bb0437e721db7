"""README.md and `reference/*.md`, held against the code and run."""
