"""`python -m mlx_lm server …`, unchanged, except that it ends when its parent does.

python -m tests.helpers.servers.serve_mlx_lm --model DIR --host 127.0.0.1 --port PORT [any other option of the server]
"""

import runpy
import sys

from tests.helpers.servers.lifetime import end_with_parent

if __name__ == "__main__":
    end_with_parent(1800)
    sys.argv = ["mlx_lm", "server", *sys.argv[1:]]
    runpy.run_module("mlx_lm", run_name="__main__", alter_sys=True)
