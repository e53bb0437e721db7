"""`python -m lmx_loadgen` is the same as `lmx-loadgen`."""

from lmx_loadgen.cli import main

main()
