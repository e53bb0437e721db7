"""Several machines that measure as one, on Ray: the connection to its nodes, and the measuring process on each."""
