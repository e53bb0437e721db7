"""Imported before httpx, it keeps out httpx's own command line, which nobody calls here.

httpx imports that wherever click, rich and pygments are installed, as they are beside this tool: a third of what a
measuring process imports.
"""

import sys

sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # None: there is no such module
