"""What was recorded is sent again: two servers are compared on exactly that work."""

import asyncio
from pathlib import Path

import pytest

from lmx_loadgen.profile.models import Load, Profile, Prompts, Request, TargetSpec
from lmx_loadgen.session.options import Options
from lmx_loadgen.session.run import run_blocking
from lmx_loadgen.session.stop_flag import StopFlag
from lmx_loadgen.session.view import Silent
from lmx_loadgen.sim.process import start
from lmx_loadgen.sim.settings import SimSettings
from tests.recording.test_record import ask, recorded, user


@pytest.mark.parametrize("keep_text", [True, False])
def test_a_recording_compares_two_servers(keep_text: bool, tmp_path: Path) -> None:
    async def use(port: int) -> None:
        for chat in range(6):
            messages = [user(f"Question {chat}, in some more words?")]
            for turn in range(3):
                await ask(port, messages, max_tokens=6)
                messages += [{"role": "assistant", "content": "It was."}, user(f"And then, {chat} and {turn}?")]

    with start(SimSettings(ttft_ms=2.0, step_ms=1.0, prefix_cache=True)) as sim:
        asyncio.run(recorded(sim.base_url, tmp_path / "day.jsonl", use, keep_text=keep_text))
        profile = Profile(
            targets=[TargetSpec(name=name, url=sim.url) for name in ("a", "b")],
            load=Load(users=[1], blocks=3, pause=0, warmup=0),
            prompts=Prompts(chats="day.jsonl"),
            request=Request(max_tokens=6),
        )
        options = Options(tmp_path / "runs", probe=False)
        result = run_blocking(profile, options=options, stop=StopFlag(), base_dir=tmp_path, view=Silent()).result
    (comparison,) = result.comparisons
    (level,) = result.targets[0].levels

    assert [turn.answers for turn in level.turns] == [6, 6, 6]
    assert level.turns[-1].cached_share
    assert {one.key for one in comparison.audit if one.status == "failed"} == set()
    assert comparison.levels[0].metrics["ttft_p50"].verdict in ("equivalent", "undecided", "better", "worse")
