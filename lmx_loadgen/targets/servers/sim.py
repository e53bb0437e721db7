"""The built-in simulator; without an address, `run` starts one."""

from lmx_loadgen.targets.base import Dialect

SIM = Dialect(
    name="sim",
    place=99,
    title="the built-in simulator",
    default_url=None,
    key_env="LMX_SIM_API_KEY",
    fields=frozenset({"seed", "stream_options", "ignore_eos"}),
)
