"""How wrong the instrument is: load on the simulator, its log paired with what the tool saw."""
