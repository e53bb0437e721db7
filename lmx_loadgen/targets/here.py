"""All that can be found without being told an address: this machine's servers, and the user's own targets."""

from collections.abc import Iterable

import anyio

from lmx_loadgen.profile.models import TargetSpec
from lmx_loadgen.system.probe import Probe
from lmx_loadgen.targets import DIALECTS, discovery
from lmx_loadgen.targets.configured import configured_ports, is_lm_studio_idle
from lmx_loadgen.targets.found import FoundServer
from lmx_loadgen.targets.prepare import Access
from lmx_loadgen.targets.products import Identity
from lmx_loadgen.targets.recognize import LM_STUDIO


def look_around(access: Access, own: Iterable[TargetSpec] = ()) -> list[FoundServer]:
    """The servers on the known ports of this machine and those that products' settings name, and the `own` targets."""
    probe = Probe()
    ports = dict.fromkeys([*discovery.KNOWN_PORTS, *configured_ports(access.env, access.home, probe)])
    found = anyio.run(discovery.discover, access, own, tuple(ports))
    has_lm_studio = any(one.identity is not None and one.identity.product is LM_STUDIO for one in found)
    if access.home is not None and not has_lm_studio and is_lm_studio_idle(access.home, probe):
        found.append(_IDLE_LM_STUDIO)
    return found


_IDLE_LM_STUDIO = FoundServer(
    name="lmstudio",
    base_url=str(DIALECTS["lmstudio"].default_url),
    dialect=DIALECTS["lmstudio"],
    identity=Identity(LM_STUDIO),
    problem="LM Studio runs, but its server is off",
    start_command="lms server start",
)
