"""Episodes: complete, repeatable byte for byte, and stored; or rejected, with nothing stored."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from ppp.ledger.episodes import newest_episode, read_episode
from ppp.ledger.queries import read_records
from ppp.ledger.store import Store
from ppp.model.errors import ConfigError, NoRecordsError, ScriptRejectedError
from ppp.model.model_options import ModelOptions
from ppp.model.period import PeriodKind
from ppp.model.record import Record
from ppp.narrate.director import Story
from ppp.narrate.episode import format_episode, narrate, narrate_with
from ppp.narrate.model import MAX_SEED
from ppp.narrate.script import Draft, SeededWriter

GOLDEN = Path(__file__).parents[2] / "golden" / "narrate"
HOW_TO_ACCEPT = "if this change is meant: PPP_ACCEPT_GOLDEN=1 python -m pytest tests/unit/narrate, and review the diff"


def rows(store: Store) -> list[tuple[object, ...]]:
    return store.db.execute("SELECT period, seed, writer, facts, script FROM episodes ORDER BY period").fetchall()


def compare(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("PPP_ACCEPT_GOLDEN"):
        path.write_text(text, "utf-8")
    assert path.read_text("utf-8") == text, HOW_TO_ACCEPT


def test_the_sample_matches_its_golden_text(sample: Store) -> None:
    compare("seed-7.txt", format_episode(narrate(sample, seed=7)))


def test_the_sample_matches_its_golden_json(sample: Store) -> None:
    episode = narrate(sample, seed=7)
    compare("seed-7.json", json.dumps(episode.to_json(), indent=1) + "\n")


def test_the_same_ledger_and_seed_result_in_the_same_row(sample: Store) -> None:
    first = narrate(sample, seed=7)
    before = rows(sample)
    assert narrate(sample, seed=7) == first
    assert rows(sample) == before


def test_the_order_of_observation_does_not_matter(tmp_path: Path, sample: Store) -> None:
    with Store.open(tmp_path / "other") as other:
        for record in reversed(list(read_records(sample.db))):
            other.add_record(record)
        assert format_episode(narrate(other, seed=7)) == format_episode(narrate(sample, seed=7))


def test_an_episode_can_be_verified_from_its_row(sample: Store) -> None:
    narrate(sample, seed=7)
    ((period, seed, writer, facts, script),) = rows(sample)
    assert (period, seed, writer) == ("2024-04-25", 7, "seeded")
    said = {line["facts"][0]: line["text"] for line in json.loads(str(script)) if line["facts"]}
    stored = json.loads(str(facts))
    assert sorted(said) == sorted(fact["id"] for fact in stored)
    for fact in stored:
        (row,) = sample.db.query(fact["sql"], fact["params"])
        for name, value in fact["slots"].items():
            held = sorted(json.loads(row[name])) if isinstance(value, list) else row[name]
            assert held == (sorted(value) if isinstance(value, list) else value)
        package = fact["slots"].get("package", "")
        assert package in said[fact["id"]]


def test_narrating_a_day_again_replaces_its_episode(sample: Store) -> None:
    narrate(sample, seed=1)
    narrate(sample, seed=2)
    narrate(sample, seed=3, period="2024-04-24")
    narrate(sample, seed=4, kind=PeriodKind.WEEK)
    assert [row[:2] for row in rows(sample)] == [("2024-04-24", 3), ("2024-04-25", 2), ("2024-W17", 4)]
    newest = newest_episode(sample.db)
    assert newest is not None
    assert newest.period == "2024-04-25"


def test_an_empty_ledger_has_its_own_error(store: Store) -> None:
    with pytest.raises(NoRecordsError, match="the ledger holds no record") as error:
        narrate(store, seed=7)
    assert error.value.exit_code == 30
    assert rows(store) == []


@pytest.mark.parametrize("seed", [-1, MAX_SEED + 1])
def test_a_seed_out_of_range_is_rejected(sample: Store, seed: int) -> None:
    with pytest.raises(ConfigError, match=f"the seed {seed} is out of range"):
        narrate(sample, seed=seed)
    assert rows(sample) == []


class Liar:
    """Writes the seeded writer's text with one change."""

    def __init__(self, change: Callable[[list[str]], list[str]]) -> None:
        self.change = change

    def write(self, stories: Sequence[Story], *, seed: int) -> Draft:
        draft = SeededWriter().write(stories, seed=seed)
        return Draft(texts=tuple(self.change(list(draft.texts))), writer="liar")


@pytest.mark.parametrize(
    "change",
    [
        lambda texts: [text.replace("23", "24") for text in texts],
        lambda texts: [text.replace("wheelhouse", "ghost") for text in texts],
        lambda texts: texts[1:],
        lambda texts: [*texts, texts[-1]],
        lambda texts: [texts[0], *texts[2:]],
    ],
    ids=["number", "name", "dropped", "doubled", "silent"],
)
def test_a_false_script_is_rejected_and_nothing_is_stored(
    sample: Store, change: Callable[[list[str]], list[str]]
) -> None:
    narrate(sample, seed=1)
    before = rows(sample)
    with pytest.raises(ScriptRejectedError, match=r"line [0-9]+ of the script for 2024-04-25 is rejected") as error:
        narrate_with(sample, Liar(change), seed=7)
    assert error.value.exit_code == 29
    assert rows(sample) == before


def test_a_fallback_is_reported_and_changes_nothing_else(sample: Store, tmp_path: Path) -> None:
    seeded = narrate(sample, seed=7)
    before = rows(sample)
    episode = narrate(sample, seed=7, model=tmp_path / "missing.gguf")
    assert episode.lines == seeded.lines
    assert episode.writer == "seeded"
    assert episode.fallback is not None
    assert f"the model did not write: {episode.fallback}\n" in format_episode(episode)
    assert rows(sample) == before


@pytest.mark.voice
@pytest.mark.heavy
def test_a_model_s_episode_is_repeatable(sample: Store, tiny_model: Path) -> None:
    night = "2024-04-24"
    first = narrate(sample, seed=7, period=night, model=tiny_model, options=ModelOptions(threads=1))
    before = rows(sample)
    assert first.writer.startswith("tiny.gguf sha256:")
    assert first.fallback is None
    assert narrate(sample, seed=7, period=night, model=tiny_model, options=ModelOptions(threads=1)) == first
    assert rows(sample) == before


def test_the_text_stays_narrow_and_keeps_names_whole(sample: Store) -> None:
    screen = format_episode(narrate(sample, seed=7))
    assert max(map(len, screen.splitlines())) <= 100
    assert screen.startswith(
        "THE PYPI PLACE // 2024-04-25 // The night of 25 April 2024\n"
        "29 facts, verified; seed 7, writer seeded\n\n-- Opening\n"
    )
    assert screen.endswith("\n")


def test_a_quiet_night_is_told_with_its_one_fact(store: Store, record: Callable[..., Record]) -> None:
    for observed_at in (0, 259_200):
        store.add_record(record(observed_at=observed_at))
    episode = narrate(store, seed=7, period="1970-01-03")
    assert [fact.id for fact in episode.facts] == ["quiet"]
    assert "\n1 fact, verified; " in format_episode(episode)
    assert [line.chapter for line in episode.lines] == ["Opening", None, None, "Closing", None]


def test_an_episode_is_called_what_it_is_about(sample: Store) -> None:
    week = narrate(sample, seed=7, kind=PeriodKind.WEEK)
    assert week.title == "Week 17 of 2024"
    stored = read_episode(sample.db, "2024-W17")
    assert stored is not None
    assert (stored.kind, stored.title) == (PeriodKind.WEEK, week.title)
    assert [line.text for line in stored.script_lines] == [line.text for line in week.lines]
    assert [line.chapter for line in stored.script_lines] == [line.chapter for line in week.lines]
    assert {line.speaker for line in stored.script_lines} == {presenter.speaker for presenter in stored.cast}
