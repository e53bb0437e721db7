"""What the machine says of itself while it is measured: samples beside the load."""
