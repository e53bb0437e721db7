"""When requests start."""


def stagger_offsets(slots: int, spread_ns: int) -> list[int]:
    """Start offsets in ns that spread `slots` evenly over `spread_ns`: the first starts at once, and the next wave
    meets a server that is already loaded evenly, not all slots in step."""
    return [spread_ns * slot // slots for slot in range(slots)]
