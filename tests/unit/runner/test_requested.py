"""What a run is asked for: found, missing, empty; and where the markers of requirements apply."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from cell_environments import ALPINE, SLIM, tiny_matrix
from fake_runtime import CellScript, FakeRuntime
from local_index import LocalIndex, reply
from projects import module_project
from recording_reporter import RecordingReporter

from ppp import config
from ppp.check.index.client import SimpleIndex
from ppp.ledger.store import Store
from ppp.mesh.node import NodeKey
from ppp.model.errors import (
    IndexUnreachableError,
    PPPError,
    RequirementsError,
    UnknownPackageError,
    UnknownVersionError,
)
from ppp.model.matrix import Platform
from ppp.model.release import RequestedPackage
from ppp.runner.context import Context, LocalNode
from ppp.runner.enqueue import enqueue_wanted
from ppp.runner.environments import ReadyEnvironments
from ppp.runner.request import RunRequest, Sources
from ppp.runner.requested import MAX_NAMED, MAX_UNREACHABLE, Requested, find_requested
from ppp.watch.queue import ReleaseSource

ENVIRONMENTS = (SLIM, ALPINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """A node, a folder for requirements files, and an index with `example-lib` 1.0 and `other` 1.0."""

    node: LocalNode
    reporter: RecordingReporter
    local: LocalIndex
    index: SimpleIndex
    folder: Path

    def file(self, text: str, name: str = "r.txt") -> Path:
        (path := self.folder / name).write_text(text)
        return path

    def find(self, sources: Sources) -> Requested:
        return find_requested(self.node.context, self.index, sources, ENVIRONMENTS)

    def named(self, *texts: str) -> Requested:
        return self.find(Sources(named=tuple(map(RequestedPackage.parse, texts))))

    def enqueue(self, text: str, *, ready: bool) -> None:
        sources = Sources(requirements=(self.file(text),))
        matrix = tiny_matrix(*ENVIRONMENTS)
        request = RunRequest(matrix=matrix, environments=matrix.environments, sources=sources, jobs=1)
        runtime = FakeRuntime(matrix, CellScript())
        environments = ReadyEnvironments(
            index=self.index,
            matrix=matrix,
            runtimes=dict.fromkeys(Platform, runtime),
            prepared={e.id: runtime.prepare(e) for e in ENVIRONMENTS},
            unavailable={},
        )
        enqueue_wanted(self.node, environments if ready else None, self.find(sources).releases, request)

    def rows(self, sql: str) -> list[tuple[str, ...]]:
        return [tuple(row) for row in self.node.store.db.execute(sql).fetchall()]

    @property
    def queue(self) -> list[tuple[str, ...]]:
        return self.rows("SELECT package || ' ' || version, environment FROM queue ORDER BY 1, 2")

    @property
    def skips(self) -> list[tuple[str, ...]]:
        return self.rows("SELECT package, environment, detail FROM skips ORDER BY 1, 2")


@pytest.fixture
def requests(store: Store, tmp_path: Path) -> Iterator[Requests]:
    with LocalIndex() as local:
        local.add(module_project("example-lib", ""), module_project("other", ""))
        reporter = RecordingReporter()
        settings = config.load({"PPP_INDEX_URL": local.url}, data=tmp_path / "data")
        context = Context(
            config=settings, reporter=reporter, environ={}, stop=threading.Event(), clock=lambda: 1_714_003_200
        )
        yield Requests(
            node=LocalNode(context=context, store=store, key=NodeKey.from_seed(b"\1" * 32)),
            reporter=reporter,
            local=local,
            index=SimpleIndex(local.url, cache=tmp_path / "files", user_agent="the-pypi-rig/tests"),
            folder=tmp_path,
        )


def releases(found: Requested) -> list[str]:
    return [str(each.release) for each in found.releases]


def error_of(requests: Requests, *texts: str) -> PPPError:
    with pytest.raises(PPPError) as caught:
        requests.named(*texts)
    return caught.value


# ---------------------------------------------------------------- what was asked for


def test_named_packages_and_files_are_resolved_together(requests: Requests) -> None:
    sources = Sources(
        named=(RequestedPackage.parse("Example_Lib"),),
        requirements=(requests.file("other[extra]>=0.5\n"), requests.file("example-lib==1.0\n", "second.txt")),
        watchlist=requests.file("unheard-of\n", "w.txt"),
    )
    found = requests.find(sources)
    assert [(each.source, str(each.release)) for each in found.releases] == [
        (ReleaseSource.NAMED, "example-lib==1.0"),
        (ReleaseSource.REQUIREMENTS, "other==1.0"),
        (ReleaseSource.REQUIREMENTS, "example-lib==1.0"),
    ]
    assert found.missing is None
    assert len(requests.reporter.notes) == 1
    assert "extras of other" in requests.reporter.notes[0]


@pytest.mark.parametrize(
    "text", ["", "\n\n", "# only a comment\n", "--require-hashes\n--pre  # and a remark\n", "\ufeff"]
)
def test_a_file_that_names_nothing_is_an_error(requests: Requests, text: str) -> None:
    watchlist = requests.file("example-lib\n", "w.txt")
    for others in ((), (requests.file("other\n", "full.txt"),)):
        sources = Sources(requirements=(*others, requests.file(text)), watchlist=watchlist)
        with pytest.raises(RequirementsError, match=r"r\.txt names no package \(write one in each line, or leave out"):
            requests.find(sources)


def test_a_watchlist_may_be_empty(requests: Requests) -> None:
    found = requests.find(Sources(watchlist=requests.file("# nothing\n")))
    assert (found.releases, found.missing) == ((), None)


# ---------------------------------------------------------------- what the index does not have


def test_what_is_unknown_is_named_together_and_the_rest_is_found(requests: Requests) -> None:
    found = requests.named("unheard-of", "example-lib", "other>=2", "also-not", "unheard-of")
    assert releases(found) == ["example-lib==1.0"]
    assert isinstance(found.missing, UnknownPackageError)
    assert found.missing.message == (
        "3 requests failed: the index has no package 'unheard-of'; the index has no release other>=2, newest it has of"
        " other: 1.0; the index has no package 'also-not'"
    )
    assert "check the spelling" in found.missing.hint
    assert requests.reporter.warnings == [f"{found.missing.message}; the others are checked"]


def test_the_same_in_a_file(requests: Requests) -> None:
    found = requests.find(Sources(requirements=(requests.file("other>=2\nexample-lib>=7\nother\n"),)))
    assert releases(found) == ["other==1.0"]
    assert isinstance(found.missing, UnknownVersionError)
    assert "other>=2" in found.missing.message
    assert "example-lib>=7" in found.missing.message


def test_if_nothing_is_known_that_is_an_error_at_once(requests: Requests) -> None:
    both = error_of(requests, "unheard-of", "other>=2")
    assert isinstance(both, UnknownPackageError)
    assert "2 requests failed" in both.message
    alone = error_of(requests, "other>=2")
    assert isinstance(alone, UnknownVersionError)
    assert str(alone) == "the index has no release other>=2 (newest it has of other: 1.0)"


def test_very_many_unknown_names_are_counted(requests: Requests) -> None:
    error = error_of(requests, *(f"unheard-of-{number}" for number in range(MAX_NAMED + 5)))
    assert error.message.startswith(f"{MAX_NAMED + 5} requests failed")
    assert error.message.endswith("; and 5 more")
    assert len(error.message) < 2000


def test_a_page_that_cannot_be_had_does_not_stop_the_others(requests: Requests) -> None:
    requests.local.set_response("/simple/broken/", reply(status=502))
    found = requests.named("broken", "other")
    assert releases(found) == ["other==1.0"]
    assert isinstance(found.missing, IndexUnreachableError)


def test_an_index_that_is_down_is_not_asked_for_everything(requests: Requests) -> None:
    names = [f"broken-{number}" for number in range(MAX_UNREACHABLE + 5)]
    for name in names:
        requests.local.set_response(f"/simple/{name}/", reply(status=502))
    error = error_of(requests, "other", *names)
    assert isinstance(error, IndexUnreachableError)
    asked = [name for name in names if requests.local.request_counts[f"/simple/{name}/"]]
    assert len(asked) == MAX_UNREACHABLE


def test_an_unknown_entry_of_a_watchlist_is_left_out_with_a_warning(requests: Requests) -> None:
    watchlist = requests.file("unheard-of\nother>=2\nexample-lib\n", "w.txt")
    found = requests.find(Sources(watchlist=watchlist))
    assert releases(found) == ["example-lib==1.0"]
    assert found.missing is None
    assert [warning.partition(": the index has no ")[0] for warning in requests.reporter.warnings] == [
        f"{watchlist}, line 1",
        f"{watchlist}, line 2",
    ]


def test_a_watchlist_must_exist(requests: Requests) -> None:
    with pytest.raises(RequirementsError):
        requests.find(Sources(watchlist=requests.folder / "none.txt"))


# ---------------------------------------------------------------- where markers apply


def places(pairs: Sequence[tuple[str, ...]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, environment in pairs:
        found.setdefault(name, []).append(environment)
    return found


@pytest.mark.parametrize("ready", [True, False])
def test_a_requirement_is_queued_where_its_marker_applies(requests: Requests, *, ready: bool) -> None:
    requests.enqueue('example-lib; python_version < "3.12"\nother\n', ready=ready)
    assert places(requests.queue) == {"example-lib 1.0": [ALPINE.id], "other 1.0": [ALPINE.id, SLIM.id]}
    assert requests.skips == [("example-lib", SLIM.id, 'requested only where python_version < "3.12"')]
    assert requests.reporter.notes == [
        f"{requests.folder / 'r.txt'}, line 1: example-lib is {requests.skips[0][2]}: skipped in {SLIM.id}"
    ]


def test_lines_for_different_environments_add_up(requests: Requests) -> None:
    requests.local.add(module_project("other", "", version="2.0"))
    lines = 'other==1.0; python_version < "3.12"\nother==2.0; python_version >= "3.12"\n'
    requests.enqueue(lines, ready=True)
    assert places(requests.queue) == {"other 1.0": [ALPINE.id], "other 2.0": [SLIM.id]}
    assert requests.skips == []
    assert requests.reporter.notes == []


def test_what_applies_nowhere_is_reported_and_the_rest_is_queued(requests: Requests) -> None:
    requests.enqueue('example-lib; sys_platform == "win32"\nother\n', ready=True)
    assert places(requests.queue) == {"other 1.0": [ALPINE.id, SLIM.id]}
    reason = 'requested only where sys_platform == "win32"'
    assert requests.skips == [("example-lib", ALPINE.id, reason), ("example-lib", SLIM.id, reason)]
    assert f"skipped in {SLIM.id}, {ALPINE.id}" in requests.reporter.notes[0]


def test_a_file_of_which_nothing_applies_is_an_error(requests: Requests) -> None:
    with pytest.raises(RequirementsError, match=rf"nothing that was requested applies in {SLIM.id}, {ALPINE.id}"):
        requests.enqueue('example-lib; sys_platform == "win32"\nother; extra == "x"\n', ready=True)
    assert requests.queue == []


def test_an_unknown_package_for_other_systems_is_not_missing(requests: Requests) -> None:
    sources = Sources(requirements=(requests.file('unheard-of; sys_platform == "win32"\nother\n'),))
    found = requests.find(sources)
    assert (releases(found), found.missing) == (["other==1.0"], None)
    assert requests.reporter.notes == [
        f"{requests.folder / 'r.txt'}, line 1: unheard-of is requested in none of the environments"
    ]


def test_what_only_an_interpreter_knows_is_decided_once_it_is_ready(requests: Requests) -> None:
    line = 'other; platform_machine == "riscv64"\nexample-lib\n'
    requests.enqueue(line, ready=False)
    assert places(requests.queue)["other 1.0"] == [ALPINE.id, SLIM.id], "nothing is left out on a guess"
    requests.node.store.db.execute("DELETE FROM queue")
    requests.enqueue(line, ready=True)
    assert "other 1.0" not in places(requests.queue)
