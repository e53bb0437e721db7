"""One run from start to end: its plan, what must be there first, the runner, the recorder, resume and checks."""
