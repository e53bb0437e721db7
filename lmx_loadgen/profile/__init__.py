"""What to ask: load profiles, their durations and shares, prompts, and the strict YAML they are read from."""
