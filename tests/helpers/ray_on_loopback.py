"""`ray` as a command whose processes listen on 127.0.0.1 alone. Ray itself takes a loopback address for a mistake, puts
that of the machine in its place, and listens on all of its networks."""

import sys

from ray._private import services
from ray.scripts.scripts import main

if __name__ == "__main__":
    services.is_localhost = lambda host: False
    sys.exit(main())
