"""The plan's summary and the report cards: what stands in them, and what must not."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lmx_loadgen.analysis.baselines import Baseline, best_baseline
from lmx_loadgen.analysis.run_view import RunView, stat
from lmx_loadgen.report.card_data import Card, cards_of
from lmx_loadgen.report.card_tables import summary_table
from lmx_loadgen.report.card_words import against_hypothesis, cell_texts
from lmx_loadgen.report.findings import findings
from lmx_loadgen.report.head_to_head import of_runs
from lmx_loadgen.report.page import build_page
from lmx_loadgen.report.view import series_of
from lmx_loadgen.store.imported import marked
from lmx_loadgen.store.reference import NAME, PublishedFigure, Reference, read_reference
from lmx_loadgen.store.result import Hypothesis
from lmx_loadgen.system import package_data
from tests.helpers import make_cards
from tests.helpers.outline import Outline
from tests.helpers.snapshots import check_snapshot, numbers_in

NOTHING = Reference([], {})


@pytest.fixture(scope="session")
def three(tmp_path_factory: pytest.TempPathFactory) -> list[RunView]:
    return make_cards.views(tmp_path_factory.mktemp("three"), *make_cards.THREE)


@pytest.fixture(scope="session")
def packed() -> Reference:
    return read_reference(package_data.folder("reference") / NAME)


def cards(runs: Sequence[RunView], reference: Reference | None = None) -> dict[tuple[str, str], Card]:
    """The cards by the end of their model's name and their backend."""
    found = cards_of(series_of(runs), of_runs(runs), reference)
    return {(card.model.rsplit("/", 1)[-1], card.backend): card for card in found}


def rival(card: Card, server: str, how: str) -> Baseline:
    return next(one for one in card.baseline if (one.server, one.how) == (server, how))


def published(**fields: Any) -> Reference:
    """A reference file with one figure of the sample's model."""
    base = {"server": "lm_studio", "source": "a test", "hardware": "M3 Ultra 256 GB", "format": "4bit"}
    figure = PublishedFigure.model_validate({"model": "qwen2.5:7b"} | base | fields)
    return Reference([figure], {"qwen2.5:7b": ("qwen2.5:7b",)})


# ---- which cards there are ---------------------------------------------------------------------------


def test_there_is_one_card_a_model_and_backend_of_its_newest_run(three: list[RunView]) -> None:
    found = cards(list(reversed(three)))  # the order in which runs are named does not matter

    assert set(found) == {
        ("Qwen2.5-7B-Instruct-4bit", "lmx"),
        ("qwen2.5:7b-instruct-q4_K_M", "ollama"),
        ("qwen2.5-7b-instruct@4bit", "lmstudio"),
        ("Llama-3.1-8B-Instruct-4bit", "lmx"),
        ("Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf", "llamacpp"),
    }
    lmx = found["Qwen2.5-7B-Instruct-4bit", "lmx"]
    assert [resume_state.started_at[:10] for resume_state in lmx.runs] == ["2026-11-21", "2026-11-20"]
    assert lmx.target is not None
    assert lmx.target.hypothesis is not None  # the older run has none


def test_runs_of_another_machine_have_a_card_of_their_own(three: list[RunView]) -> None:
    host = {"chip": "Apple M4 Max", "memory_gb": 128}
    elsewhere = three[0].result.model_copy(update={"host": host})
    found = cards_of(series_of([RunView(elsewhere, three[0].measured, "elsewhere"), three[1]]), [])

    assert [(card.backend, card.machine) for card in found if card.backend == "lmx"] == [
        ("lmx", "Apple M4 Max, 128 GB"),
        ("lmx", "Apple M3 Ultra, 256 GB"),
    ]


def test_earlier_runs_say_whether_they_asked_for_the_same_work(three: list[RunView]) -> None:
    profile = {**three[0].result.profile, "request": {"max_tokens": 999}}
    other = RunView(three[0].result.model_copy(update={"profile": profile}), three[0].measured, "20 Nov")

    for first, is_same in ((other, False), (three[0], True)):
        lmx = cards([first, three[1]])["Qwen2.5-7B-Instruct-4bit", "lmx"]
        assert [run.same_work for run in lmx.runs] == [True, is_same]


# ---- against others ----------------------------------------------------------------------------------


def test_a_verdict_of_one_run_is_shown_and_only_a_decided_one_is_strong(three: list[RunView]) -> None:
    lmx = cards(three)["Qwen2.5-7B-Instruct-4bit", "lmx"]
    ollama, studio = (rival(lmx, server, "compared") for server in ("ollama", "lm_studio"))

    assert (ollama.rate.verdict, ollama.ttft.verdict) == ("better", "undecided")
    assert [(said.words, said.strong) for said in cell_texts(ollama)] == [
        ("theirs −16 % tok/s", True),
        ("inconclusive TTFT", False),
    ]
    assert [(said.words, said.strong) for said in cell_texts(studio)] == [("inconclusive", False)]


def test_on_the_card_of_its_first_side_a_comparison_keeps_its_figure_and_says_whose_it_is(three: list[RunView]) -> None:
    comparison = next(one for one in of_runs(three) if {one.a.target, one.b.target} == {"lmx", "ollama"})
    metric = comparison.levels[0].metrics["decode_tok_s_p50"]
    assert (comparison.a.target, metric.verdict) == ("lmx", "worse")  # ollama's, which is B

    delta = rival(cards(three)["Qwen2.5-7B-Instruct-4bit", "lmx"], "ollama", "compared").rate

    assert (delta.verdict, delta.of_theirs) == ("better", True)
    assert (delta.change, delta.ci95) == (metric.change, metric.change95)
    assert (delta.theirs, delta.unit) == (metric.b, "char/s")


def test_a_verdict_over_separate_runs_is_shown_but_not_emphasised(three: list[RunView]) -> None:
    apart = [one.model_copy(update={"mode": "sequential"}) for one in of_runs(three)]
    found = cards_of(series_of(three), apart)
    ollama = rival(next(card for card in found if card.backend == "lmx"), "ollama", "compared apart")

    assert ollama.rate.verdict == "better"
    assert not any(said.strong for said in cell_texts(ollama))


def test_two_that_were_measured_in_one_run_but_not_compared_have_points_and_no_interval(three: list[RunView]) -> None:
    """As results of former versions have it: each other target was compared with the first alone."""
    with_first = [one for one in three[1].result.comparisons if one.a.target == "lmx"]
    former = RunView(three[1].result.model_copy(update={"comparisons": with_first}), None, "former")
    ollama = rival(cards([former])["qwen2.5:7b-instruct-q4_K_M", "ollama"], "lm_studio", "one run")

    assert ollama.rate.change is not None
    assert ollama.rate.ci95 is None
    assert not any(said.strong for said in cell_texts(ollama))


def apart(three: list[RunView], **changed: Any) -> Card:
    """Ollama's card, where LM Studio was measured in another run; `changed` are fields of that run's result."""

    def only(run: RunView, name: str, number: str, more: dict[str, Any]) -> RunView:
        targets = [target for target in run.result.targets if target.name == name]
        changed = {"run_id": number, "targets": targets, "comparisons": [], **more}
        return RunView(run.result.model_copy(update=changed), None, number)

    runs = [only(three[1], "ollama", "a", {}), only(three[1], "lmstudio", "b", changed)]
    return cards(runs)["qwen2.5:7b-instruct-q4_K_M", "ollama"]


def test_separate_runs_give_a_plain_difference_of_medians(three: list[RunView]) -> None:
    found = rival(apart(three), "lm_studio", "separate runs")
    ours, theirs = (stat(target.levels[0], "ttft", "p50") for target in (three[1].result.targets[n] for n in (2, 1)))

    assert ours
    assert theirs
    assert found.ttft.change == pytest.approx(ours / theirs - 1)
    assert not any(said.strong for said in cell_texts(found))


@pytest.mark.parametrize(
    "changed",
    [
        {"profile": {"endpoint": "chat", "prompts": {"lengths": ["long"]}, "request": {}}},
        {"host": {"chip": "Apple M4 Max", "memory_gb": 128}},
    ],
    ids=["other work", "another machine"],
)
def test_separate_runs_are_not_held_against_each_other_where_they_differ(
    three: list[RunView], changed: dict[str, Any]
) -> None:
    assert best_baseline(apart(three, **changed).baseline, "lm_studio") is None


def test_other_weights_are_no_match(three: list[RunView]) -> None:
    other = [one.model_copy(update={"model": "qwen2.5-7b-instruct@8bit"}) for one in three[1].result.targets[1:2]]

    assert best_baseline(apart(three, targets=other).baseline, "lm_studio") is None


def test_a_rate_of_chunks_is_not_held_against_one_of_tokens(three: list[RunView]) -> None:
    (target,) = three[1].result.targets[1:2]
    in_chunks = {"token_basis": "events", "token_basis_exact": False}
    chunks = [level.model_copy(update=in_chunks) for level in target.levels]
    found = rival(apart(three, targets=[target.model_copy(update={"levels": chunks})]), "lm_studio", "separate runs")

    assert found.rate.change is None
    assert "tokens" in (found.rate.why or "")
    assert found.ttft.change is not None


def counted(run: RunView) -> RunView:
    """The same run, had its server counted tokens."""
    result = run.result.model_copy(deep=True)
    for target in result.targets:
        for level in target.levels:
            level.token_basis_exact = True
    return replace(run, result=result)


@pytest.mark.parametrize(
    ("fields", "has_change", "words"),
    [
        ({"toks_per_sec": 100.0}, True, ""),
        ({"toks_per_sec": 100.0, "hardware": "M4 Max 128 GB"}, False, "100.0 tok/s"),
        ({"toks_per_sec": 100.0, "hardware": "a Mac"}, False, "100.0 tok/s"),
        ({"toks_per_sec": 100.0, "context_tokens": 30_000}, False, "100.0 tok/s"),
        ({"total_toks_per_sec": 90.0}, False, "—"),
        ({"ttft_sec": 0.2}, False, "200 ms TTFT"),
    ],
    ids=["same chip", "another chip", "no chip", "long context", "whole requests", "TTFT of unknown prompts"],
)
def test_a_published_figure_gives_a_difference_only_where_chip_and_work_are_alike(
    three: list[RunView], fields: dict[str, Any], has_change: bool, words: str
) -> None:
    card = cards([counted(run) for run in three[2:] + three[:1]], published(**fields))[
        "Qwen2.5-7B-Instruct-4bit", "lmx"
    ]
    found = best_baseline(card.baseline, "lm_studio")

    assert found
    assert found.how == "published"
    said = cell_texts(found)
    assert (found.rate.change is not None) == has_change
    assert not any(one.strong for one in said)
    assert has_change or said[0].words == words


def test_a_rate_of_chunks_is_not_held_against_a_published_one(three: list[RunView]) -> None:
    card = cards(three[2:] + three[:1], published(toks_per_sec=100.0))["Qwen2.5-7B-Instruct-4bit", "lmx"]
    found = best_baseline(card.baseline, "lm_studio")

    assert found
    assert found.rate.change is None
    assert "chunks" in (found.rate.why or "")


UNSOUND = [
    ({"tainted": ["the client was busy"]}, {}, "disturbed"),
    ({}, {"failed": 3}, "failed"),
    ({}, {"ok": 1, "failed": 0}, "too few"),
]


def unsound(run: RunView, changes: dict[str, Any], requests: dict[str, Any], **hypothesis: Any) -> RunView:
    """The run with exact counts, all of its levels changed so, and an expectation of every target."""
    result = counted(run).result
    for target in result.targets:
        target.hypothesis = Hypothesis.model_validate({"kind": "published", "sentence": "s", **hypothesis})
        target.levels = [
            level.model_copy(
                update={
                    "tainted": [],
                    "requests": level.requests.model_copy(update={"failed": 0, **requests}),
                    **changes,
                }
            )
            for level in target.levels
        ]
    return replace(run, result=result)


@pytest.mark.parametrize(("changes", "requests", "why"), UNSOUND)
def test_unsound_figures_are_held_against_nothing(
    three: list[RunView], changes: dict[str, Any], requests: dict[str, Any], why: str
) -> None:
    reference = published(toks_per_sec=100.0)
    sound, run = (
        unsound(three[0], *one, toks_per_sec=50.0, of="LM Studio MLX") for one in (({}, {}), (changes, requests))
    )
    good, card = (cards([one], reference)["Qwen2.5-7B-Instruct-4bit", "lmx"] for one in (sound, run))
    found = best_baseline(card.baseline, "lm_studio")

    assert found
    assert found.rate.change is None
    assert why in (found.rate.why or "")
    assert against_hypothesis(card) is None
    assert all("measured:" not in words for words, _ in findings(run.result.targets[0]))
    assert "LM Studio MLX" in (against_hypothesis(good) or "")
    assert any("LM Studio MLX" in words for words, _ in findings(sound.result.targets[0]))


def test_more_than_memory_allows_shows_that_the_estimate_is_wrong(three: list[RunView]) -> None:
    run = unsound(three[0], {}, {}, kind="bandwidth", toks_per_sec=10.0)
    card = cards([run])["Qwen2.5-7B-Instruct-4bit", "lmx"]

    assert "estimate" in (against_hypothesis(card) or "")
    assert numbers_in(against_hypothesis(card) or "")[-1] > 100  # per cent of what memory allows


def test_one_answer_is_no_mean(three: list[RunView]) -> None:
    card = cards([unsound(three[0], {}, {"ok": 1})])["Qwen2.5-7B-Instruct-4bit", "lmx"]

    assert (card.mean("ttft"), card.mean("decode_tok_s")) == (None, None)


def test_what_was_measured_comes_before_what_was_published(three: list[RunView], packed: Reference) -> None:
    lmx = cards(three, packed)["Qwen2.5-7B-Instruct-4bit", "lmx"]

    order = [(one.server, one.how) for one in lmx.baseline]
    assert order[:2] == [("lm_studio", "compared"), ("lm_studio", "published")]
    assert order.index(("ollama", "compared")) < order.index(("ollama", "published"))
    chosen = best_baseline(lmx.baseline, "ollama")
    assert chosen
    assert chosen.how == "compared"


# ---- the page ----------------------------------------------------------------------------------------


def summary(runs: Sequence[RunView], reference: Reference | None = None) -> list[list[str]]:
    """The plan's table, each cell with its second line."""
    table = summary_table(list(cards(runs, reference).values()))
    assert [column.title for column in table.columns] == [
        *("Model", "Backend", "tok/s", "TTFT", "vs LM Studio", "vs Ollama", "Tools", "Skills", "Quality")
    ]
    return [[f"{cell.text} {cell.under}".strip() for cell in row] for row in table.rows]


def test_the_summary_has_the_plan_s_columns_means_and_reference_figures(
    three: list[RunView], packed: Reference
) -> None:
    found = summary(three, packed)

    assert len(found) == 5
    lmx, llama_cpp = found[0], found[4]
    assert lmx[2].startswith("73.8 ± ")
    assert lmx[2].endswith(" chunks/s")
    assert lmx[3].startswith("182 ± ")
    assert lmx[5] == "theirs −16 % tok/s inconclusive TTFT, measured in turns"
    assert lmx[6:8] == ["1 of 1", "—"]
    assert llama_cpp[4] == "—"
    assert llama_cpp[5].endswith("published, same chip")
    assert llama_cpp[6:8] == ["0 of 1", "not supported"]


def test_a_figure_of_another_chip_is_named_with_it_and_not_bold(three: list[RunView]) -> None:
    reference = published(toks_per_sec=101.87, hardware="M4 Max 128 GB, 40-core GPU")
    page = build_page(three[:1], reference=reference)

    assert summary(three[:1], reference)[0][4] == "101.9 tok/s published, M4 Max"
    assert "source: a test" in Outline(page).text
    assert "<strong>101.9" not in page


def test_a_card_says_what_was_expected_measured_checked_and_what_the_server_says(
    tmp_path: Path, packed: Reference
) -> None:
    page = build_page(make_cards.views(tmp_path, "one"), reference=packed)
    inside = [page[page.index(f'<section id="{part}"') :] for part in ("cards", "checks")]
    text = "\n".join(Outline(part[: part.index("</section>")]).lines for part in inside)

    check_snapshot("cards.txt", text)


def test_it_is_said_of_llama_cpp_what_its_own_rate_counts(tmp_path: Path, three: list[RunView]) -> None:
    words = "the rate is of the tokens after the first"

    assert words in Outline(build_page(three)).text
    assert words not in Outline(build_page(make_cards.views(tmp_path, "one"))).text


def test_what_has_no_data_is_left_out_and_failures_are_dashes(tmp_path: Path, three: list[RunView]) -> None:
    older, failed = build_page(three[:1]), Outline(build_page(make_cards.views(tmp_path, "failures"))).text

    assert "Expected" not in Outline(older).text
    assert "Tool call" not in Outline(older).text
    assert summary(make_cards.views(tmp_path / "again", "failures"))[0][2:] == ["—"] * 4 + ["0 of 1", "—", "—"]
    assert "insufficient data" in failed
    assert "server busy, please try again" in failed


def test_an_imported_result_has_a_card_beside_what_is_published_and_no_difference(
    three: list[RunView], packed: Reference
) -> None:
    result = marked(make_cards.own_benchmark("mlx-community/Qwen2.5-7B-Instruct-4bit"))
    table = summary_table(cards_of(series_of(three[:1]), [], packed, [result]))

    row = [f"{cell.text} {cell.under}".strip() for cell in table.rows[-1]]
    assert row[1:4] == ["vllm-mlx imported", "81.9", "178"]
    assert all("published" in cell and "%" not in cell for cell in row[4:6])
    assert row[8] == "truncated (first answer)"
    assert "Not measured by this tool" in Outline(build_page(three[:1], imported=[result])).text


def test_more_than_a_few_cards_are_folded(three: list[RunView]) -> None:
    def cards_in(page: str) -> str:
        inside = page[page.index('<section id="cards"') :]
        return inside[: inside.index("</section>")]

    assert cards_in(build_page(three)).count('<details class="card c') == 5
    assert "open" not in cards_in(build_page(three))
    assert cards_in(build_page(three[:1])).count(' open=""') == 2
