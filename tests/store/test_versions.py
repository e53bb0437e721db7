"""Formats as older versions wrote them, brought up to the present one step after the other."""

from typing import Any

import pytest

from lmx_loadgen.store.versions import CALIBRATION, EVENT_LOG, RESULT, Format, UnknownVersion

# Only for tests: version 2 called `ttft` what version 1 called `latency`, version 3 has it in seconds.
MADE: Format[dict[str, Any]] = Format(
    "made-up",
    "schema",
    {
        1: lambda old: {"schema": 2, "ttft": old["latency"]},
        2: lambda old: old | {"schema": 3, "ttft": old["ttft"] / 1000},
    },
)


def test_migrations_are_applied_in_their_order() -> None:
    old = {"schema": 1, "latency": 250}

    assert MADE.newest == 3
    assert MADE.migrated(old, MADE.known(1)) == {"schema": 3, "ttft": 0.25}
    assert MADE.migrated({"schema": 2, "ttft": 250}, 2) == {"schema": 3, "ttft": 0.25}
    assert old == {"schema": 1, "latency": 250}


def test_the_present_version_stays_as_it_is() -> None:
    now = {"schema": 3, "ttft": 0.25}

    assert MADE.migrated(now, MADE.known(3)) is now


def test_a_later_version_is_refused_with_what_to_do() -> None:
    with pytest.raises(UnknownVersion, match=r"^has made-up schema 4, .* reads up to 3: update lmx-loadgen"):
        MADE.known(4)


@pytest.mark.parametrize("version", [None, "1", 0, -1, 1.0, True, [], {"a": 1}])
def test_what_is_no_version_is_refused(version: Any) -> None:
    with pytest.raises(UnknownVersion, match="has no made-up schema version of lmx-loadgen"):
        MADE.known(version)


@pytest.mark.parametrize("form", [EVENT_LOG, RESULT, CALIBRATION], ids=lambda form: form.name)
def test_no_step_is_missing(form: Format[Any]) -> None:
    assert sorted(form.migrations) == list(range(1, form.newest))


def test_a_log_of_version_2_says_pause_and_until_conclusive() -> None:
    old = {"type": "header", "schema": 2, "until_settled": True, "profile": {"load": {"settle": 1.5, "blocks": 4}}}

    assert EVENT_LOG.migrated([old, {"type": "request"}], 2) == [
        {
            "type": "header",
            "schema": 4,
            "until_conclusive": True,
            "profile": {"load": {"pause": 1.5, "blocks": 4}},
        },
        {"type": "request"},
    ]


@pytest.mark.parametrize(
    ("figure", "code"),
    [
        ({"verdict": "undecided", "drifted": True}, "drift"),
        ({"verdict": "undecided", "drifted": False}, "chance"),
        ({"verdict": "refused", "drifted": False}, "audit"),
        ({"verdict": "worse", "drifted": False}, None),
    ],
)
def test_a_result_of_version_2_gets_the_codes_of_its_verdicts(figure: dict[str, Any], code: str | None) -> None:
    metrics = {"ttft_p50": figure | {"bootstrap95": [0.9, 1.1]}}
    old = {"schema": 2, "comparisons": [{"until_settled": False, "levels": [{"metrics": metrics}]}]}
    (comparison,) = RESULT.migrated(old, 2)["comparisons"]

    assert comparison["until_conclusive"] is False
    assert comparison["levels"][0]["metrics"]["ttft_p50"] == {"verdict": figure["verdict"], "reason_code": code}


def test_a_result_of_version_3_says_which_load_a_level_is() -> None:
    levels = [{"level": 1, "concurrency": 4, "complete": True}]
    audit = [{"key": "model", "levels": []}, {"key": "tainted", "levels": [1, 4]}]
    old = {
        "schema": 3,
        "targets": [{"levels": levels}],
        "comparisons": [{"levels": [{"concurrency": 4}], "audit": audit}],
    }
    found = RESULT.migrated(old, 3)
    four = {"kind": "closed", "concurrency": 4}

    assert found["targets"] == [{"levels": [{"load_point": four, "concurrency": 4, "complete": True}]}]
    assert found["comparisons"][0]["levels"] == [{"load_point": four, "concurrency": 4}]
    assert [line["load_points"] for line in found["comparisons"][0]["audit"]] == [[], [four | {"concurrency": 1}, four]]
    assert old["targets"] == [{"levels": levels}]


@pytest.mark.parametrize("damaged", [{"targets": 5}, {"targets": [5]}, {"comparisons": [{"levels": 5, "audit": [5]}]}])
def test_a_damaged_result_of_version_3_stays_as_it_is(damaged: dict[str, Any]) -> None:
    assert RESULT.migrated(damaged | {"schema": 3}, 3) == damaged | {"schema": 4}
