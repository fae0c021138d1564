"""The workflows: what each job may do, where secrets go, what is pinned; and the expressions of the rehearsal."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest
from expressions import evaluate, expand
from workflow import load

from ppp.model.schedule import SCHEDULE, Step

ROOT: Final = Path(__file__).parents[3]
WORKFLOWS: Final = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
#: The workflows that a node runs.
NODE: Final = ("node", "snapshot")
#: The sessions that run package code.
RUNS_PACKAGES: Final = {"node_check"}
PINNED: Final = re.compile(r"[a-z-]+/[a-z-]+@[0-9a-f]{40}")


def jobs(name: str) -> dict[str, Any]:
    return dict(load(ROOT / ".github" / "workflows" / f"{name}.yml")["jobs"])


def steps() -> Iterator[tuple[Path, str, dict[str, Any]]]:
    for path in WORKFLOWS:
        for name, job in load(path)["jobs"].items():
            yield from ((path, name, step) for step in job["steps"])


def sessions(job: dict[str, Any]) -> set[str]:
    return {found for step in job["steps"] for found in re.findall(r"scripts/nox -s (\w+)", step.get("run", ""))}


def has_secret(job: dict[str, Any]) -> bool:
    return "secrets." in str(job)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_grants_nothing_by_itself_and_trusts_no_pull_request(path: Path) -> None:
    document = load(path)
    assert document["permissions"] == {}
    assert "concurrency" in document
    assert not {"pull_request_target", "workflow_run", "issue_comment"} & document["on"].keys()
    for name, job in document["jobs"].items():
        assert job["permissions"], f"{name} says what it may do"
        assert job["timeout-minutes"] <= 90, name


def test_every_action_is_pinned_by_its_hash_and_no_credentials_stay_in_a_checkout() -> None:
    for path, job, step in steps():
        if "uses" in step:
            assert PINNED.fullmatch(step["uses"]), (path.name, job, step)
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"] == {"persist-credentials": False}, (path.name, job)


def test_one_action_has_one_hash() -> None:
    used = {step["uses"] for _, _, step in steps() if "uses" in step}
    assert len(used) == len({action.partition("@")[0] for action in used})


def test_artifacts_are_not_kept_for_long_and_never_empty() -> None:
    for path, job, step in steps():
        if "upload" in step.get("uses", ""):
            assert step["with"]["retention-days"] <= 7, (path.name, job)
        if step.get("uses", "").startswith("actions/upload-artifact@"):
            assert step["with"]["if-no-files-found"] == "error", (path.name, job)


def test_no_expression_is_part_of_a_command() -> None:
    assert [(path.name, job, step) for path, job, step in steps() if "${{" in step.get("run", "")] == []


@pytest.mark.parametrize("name", NODE)
def test_a_node_runs_sessions_and_nothing_else(name: str) -> None:
    text = (ROOT / "noxfile.py").read_text("utf-8")
    for job in jobs(name).values():
        commands = [step["run"] for step in job["steps"] if "run" in step]
        assert all(re.fullmatch(r"scripts/nox -s node_\w+( -- [^\n;&|<>`]*)?", command) for command in commands)
        assert all(f"def {session}(" in text for session in sessions(job))


@pytest.mark.parametrize("name", NODE)
def test_who_runs_packages_who_has_the_key_and_who_writes_are_three(name: str) -> None:
    for job_name, job in jobs(name).items():
        writes = {scope for scope, kind in job["permissions"].items() if kind == "write"}
        if sessions(job) & RUNS_PACKAGES:
            assert (has_secret(job), writes) == (False, set()), job_name
        if has_secret(job):
            assert (job["environment"], job["permissions"]) == ("node", {"contents": "read"}), job_name
            named = [step for step in job["steps"] if "secrets." in str(step)]
            assert all([*step["env"]].count("PPP_NODE_KEY") == 1 and "run" in step for step in named), job_name
            assert "secrets." not in str(job.get("env", "")), f"{job_name}: to single steps only"


def test_only_what_shards_hand_over_is_found_by_name() -> None:
    downloads = [step["with"] for name in NODE for job in jobs(name).values() for step in job["steps"]
                 if step.get("uses", "").startswith("actions/download-artifact@")]  # fmt: skip
    assert [given for given in downloads if "artifact-ids" not in given] == [
        {"pattern": "shard-*", "path": "node-run/shards"}
    ]


def test_the_state_is_kept_before_the_site_is_deployed() -> None:
    assert jobs("node")["pages"]["needs"] == "keep"
    assert "node_keep" in sessions(jobs("node")["keep"])
    assert {load(ROOT / ".github" / "workflows" / f"{name}.yml")["concurrency"]["group"] for name in NODE} == {"node"}


def test_a_node_on_github_watches_when_any_other_does() -> None:
    ((cron,),) = [[one["cron"] for one in load(ROOT / ".github" / "workflows" / "node.yml")["on"]["schedule"]]]
    hours = [str(time.hour) for time in SCHEDULE if time.step is Step.WATCH]
    assert cron.split() == ["17", ",".join(hours), "*", "*", "*"], "not at the full hour, when many others begin"


# ---------------------------------------------------------------- expressions


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("vars.none || '2'", "2"),
        ("vars.some || '2'", "x"),
        ("needs.a.result == 'success' && !cancelled()", True),
        ("needs.a.outputs.jobs != '[]'", True),
        ("!(needs.a.result == 'success')", False),
        ("fromJSON(needs.a.outputs.jobs)", [{"name": "one"}]),
        ("needs.missing.outputs.x", ""),
        ("'it''s'", "it's"),
        ("true && null", None),
    ],
)
def test_expressions_have_githubs_values(expression: str, value: object) -> None:
    contexts = {
        "vars": {"some": "x"},
        "needs": {"a": {"result": "success", "outputs": {"jobs": '[{"name": "one"}]'}}},
    }
    assert evaluate(expression, contexts, {"cancelled": lambda: False}) == value


@pytest.mark.parametrize("expression", ["secrets.x", "a b", "1 +", "vars.x == "])
def test_an_expression_that_is_not_understood_is_an_error(expression: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        evaluate(expression, {"vars": {}}, {})


def test_expressions_are_replaced_in_text() -> None:
    assert expand("shard-${{ matrix.name }}.${{ matrix.n }}", {"matrix": {"name": "a", "n": 1}}, {}) == "shard-a.1"
    assert expand("${{ matrix.n }}", {"matrix": {"n": 1}}, {}) == 1


# ---------------------------------------------------------------- what the sessions do


@pytest.fixture
def night(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The helpers of a night's sessions."""
    monkeypatch.syspath_prepend(ROOT / "scripts")
    for name in ("PPP_BASE_URL", "GITHUB_REPOSITORY", "GITHUB_SERVER_URL"):
        monkeypatch.delenv(name, raising=False)
    return importlib.import_module("nox_night")


@pytest.mark.parametrize(
    ("settings", "address"),
    [
        ({}, ""),
        ({"GITHUB_REPOSITORY": "Someone/Their-Fork"}, "https://someone.github.io/their-fork/"),
        ({"GITHUB_REPOSITORY": "Someone/someone.github.io"}, "https://someone.github.io/"),
        ({"GITHUB_REPOSITORY": "a/b", "GITHUB_SERVER_URL": "https://forge.example"}, ""),
        ({"GITHUB_REPOSITORY": "a/b", "PPP_BASE_URL": "https://node.example/"}, "https://node.example/"),
    ],
)
def test_a_night_publishes_at_the_address_that_is_set_or_at_the_forks_pages(
    night: ModuleType, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], address: str
) -> None:
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://github.com")
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert night.site_address() == address


def test_whoever_saves_a_restored_state_looks_first_whether_it_is_the_newest() -> None:
    sessions = re.split(r"^@nox\.session", (ROOT / "noxfile.py").read_text("utf-8"), flags=re.MULTILINE)
    saving = [text for text in sessions if '"state", "save"' in text and "night.restore(" in text]
    assert len(saving) == 2
    assert all("    night.restore(session)\n    night.compare_published(session)\n" in text for text in saving)


@pytest.mark.parametrize("chosen", ["stop", "restore", "begin-anew"])
def test_a_person_can_say_what_to_do_about_a_lost_state_and_a_schedule_stops(night: ModuleType, chosen: str) -> None:
    offered = load(ROOT / ".github" / "workflows" / "node.yml")["on"]["workflow_dispatch"]["inputs"]["lost"]
    assert (offered["options"], offered["default"]) == ([night.STOP, night.RESTORE, night.BEGIN_ANEW], night.STOP)
    (watch,) = (step for step in jobs("node")["watch"]["steps"] if step.get("id") == "watch")
    expression = watch["env"]["PPP_STATE_LOST"]
    assert expand(expression, {"inputs": {"lost": chosen}}, {}) == chosen
    assert expand(expression, {"inputs": {}}, {}) == "stop"
