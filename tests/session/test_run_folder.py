"""The folder that a run is stored in."""

import os
import stat
from pathlib import Path

from lmx_loadgen.session.run_log import make_folder
from lmx_loadgen.system.clock import Anchor


def test_only_the_owner_opens_a_run_s_folder(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        folder = make_folder(tmp_path / "reports", ["a", "b"], "0123abcd", Anchor.take())
    finally:
        os.umask(before)

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
