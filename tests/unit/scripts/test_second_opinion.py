import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from online_set import Labelled, labelled_cells
from rich.console import Console
from second_opinion import (
    Accord,
    Comparison,
    Completed,
    Ending,
    Opinion,
    expected_ending,
    opinions,
    print_table,
    read_opinion,
)

from ppp.model.matrix import Cell
from ppp.model.record import Outcome, Phase, Record, Result, outcomes_in_order
from ppp.model.release import Release

MakeRecord = Callable[..., Record]
INSTALLED: Final = "Successfully installed example-1.0\n"


class FakeRunner:
    """Answers each command from a table, and notes what it was asked."""

    def __init__(self, answers: dict[str, Completed], digest: str = "sha256:aa") -> None:
        self.answers = answers
        self.image_digest = digest
        self.asked: list[tuple[str, str]] = []

    def digest(self, image: str) -> str:
        return f"{self.image_digest}:{image}"

    def run(self, image: str, command: str) -> Completed:
        self.asked.append((image, command))
        return self.answers[command]


def labelled(*, differs: str = "", may_differ: str = "") -> Labelled:
    return Labelled(
        cell=Cell(release=Release.parse("example", "1.0"), environment="py312-slim"),
        result=Result.PASS,
        phase=None,
        cause=None,
        blame=None,
        facts={},
        command="pip install example==1.0 && python -c 'import example'",
        truth="import example returned",
        kind="",
        in_ci=True,
        differs=differs,
        may_differ=may_differ,
    )


def failed(record: MakeRecord, phase: Phase) -> Record:
    before = [p for p in Phase if list(Phase).index(p) < list(Phase).index(phase)]
    outcomes = outcomes_in_order({**dict.fromkeys(before, Outcome.PASS), phase: Outcome.FAIL})
    return record(result="FAIL", outcomes=outcomes)


@pytest.mark.parametrize(
    ("exit_code", "output", "ending", "line"),
    [
        (0, INSTALLED, Ending.IMPORTS, INSTALLED.strip()),
        (1, f"{INSTALLED}Traceback\nImportError: no\n", Ending.IMPORT_FAILS, "ImportError: no"),
        (139, f"{INSTALLED}Segmentation fault\n", Ending.IMPORT_FAILS, "Segmentation fault"),
        (1, "ERROR: no file\n\n[notice] A new release\n", Ending.INSTALL_FAILS, "ERROR: no file"),
        # An indented line is the log of a build, and says nothing about the release.
        (1, "  Successfully installed setuptools\nerror: gcc failed\n", Ending.INSTALL_FAILS, "error: gcc failed"),
        (1, "", Ending.INSTALL_FAILS, ""),
        (None, f"{INSTALLED}waiting\n", Ending.TIMEOUT, "waiting"),
    ],
)  # fmt: skip
def test_how_a_command_ended_is_read_from_its_status_and_output(
    exit_code: int | None, output: str, ending: Ending, line: str
) -> None:
    assert read_opinion(Completed(exit_code=exit_code, output=output)) == Opinion(ending=ending, line=line)


def test_control_characters_and_long_lines_do_not_reach_the_table() -> None:
    line = read_opinion(Completed(exit_code=1, output=f"\x1b[31m{'x' * 1000}")).line
    assert line.startswith(" [31mxx")
    assert len(line) == 200


def test_the_ending_that_a_record_foretells(record: MakeRecord) -> None:
    assert expected_ending(record()) is Ending.IMPORTS
    assert expected_ending(failed(record, Phase.IMPORT)) is Ending.IMPORT_FAILS
    assert expected_ending(failed(record, Phase.NODEPS)) is Ending.INSTALL_FAILS
    assert expected_ending(failed(record, Phase.FULL)) is Ending.INSTALL_FAILS
    assert expected_ending(record(result="NA")) is Ending.INSTALL_FAILS
    assert expected_ending(record(result="TIMEOUT")) is Ending.TIMEOUT
    assert expected_ending(record(result="ERROR")) is None


@pytest.mark.parametrize(
    ("ending", "reasons", "agreement"),
    [
        (Ending.IMPORTS, {}, Accord.AGREES),
        (Ending.IMPORTS, {"may_differ": "on machines of another kind"}, Accord.AGREES),
        (Ending.IMPORTS, {"differs": "it once did"}, Accord.NEEDLESS),
        (Ending.IMPORT_FAILS, {}, Accord.DIFFERS),
        (Ending.IMPORT_FAILS, {"differs": "the image's pip is older"}, Accord.EXPLAINED),
        (Ending.IMPORT_FAILS, {"may_differ": "on machines of another kind"}, Accord.EXPLAINED),
        (Ending.TIMEOUT, {}, Accord.DIFFERS),
    ],
)
def test_a_disagreement_needs_a_reason_and_a_reason_a_disagreement(
    record: MakeRecord, ending: Ending, reasons: dict[str, str], agreement: Accord
) -> None:
    comparison = Comparison(
        labelled=labelled(**reasons), record=record(), opinion=Opinion(ending=ending, line="a line")
    )
    assert comparison.agreement is agreement
    assert agreement.is_error is (agreement in {Accord.DIFFERS, Accord.NEEDLESS})


def test_an_error_of_ours_agrees_with_nothing(record: MakeRecord) -> None:
    ours = record(result="ERROR")
    for ending in Ending:
        opinion = Opinion(ending=ending, line="")
        assert Comparison(labelled=labelled(), record=ours, opinion=opinion).agreement is Accord.DIFFERS


def test_the_table_shows_both_answers_and_counts_what_must_not_be(record: MakeRecord) -> None:
    text = io.StringIO()
    rows = [
        Comparison(labelled=labelled(), record=record(), opinion=Opinion(ending=Ending.IMPORTS, line="a line")),
        Comparison(
            labelled=labelled(differs="the image's pip is older"),
            record=failed(record, Phase.NODEPS),
            opinion=Opinion(ending=Ending.IMPORTS, line="[bold]unseen[/]"),
        ),
        Comparison(
            labelled=labelled(),
            record=record(),
            opinion=Opinion(ending=Ending.IMPORT_FAILS, line="[bold]no markup[/bold]"),
        ),
    ]
    assert print_table(rows, Console(file=text, width=200)) == 1
    assert [" ".join(line.split()) for line in text.getvalue().splitlines()[1:]] == [
        "example==1.0 py312-slim imports PASS agrees",
        "example==1.0 py312-slim imports FAIL (install alone) unclassified explained the image's pip is older",
        "example==1.0 py312-slim import fails PASS DIFFERS [bold]no markup[/bold]",
        "3 cells: 1 agrees, 1 explained, 1 DIFFERS",
    ]


def test_an_opinion_is_asked_for_once_for_an_image_and_a_command(tmp_path: Path) -> None:
    done = Completed(exit_code=0, output=INSTALLED)
    runner = FakeRunner({"one": done, "two": done})
    told: list[str] = []
    first = opinions([("image", "one"), ("image", "two")], runner, tmp_path, jobs=2, told=told.append)
    assert [opinion.ending for opinion in first] == [Ending.IMPORTS, Ending.IMPORTS]
    assert sorted(told) == ["image: one: imports", "image: two: imports"]
    # A run that was interrupted, or another one: only what is missing is asked for.
    assert opinions([("image", "two"), ("image", "one")], runner, tmp_path, jobs=1, told=told.append) == first
    assert sorted(runner.asked) == [("image", "one"), ("image", "two")]
    # Another image of that name is another question.
    newer = FakeRunner({"one": Completed(exit_code=1, output="ERROR: no\n")}, digest="sha256:bb")
    assert opinions([("image", "one")], newer, tmp_path, jobs=1, told=told.append)[0].ending is Ending.INSTALL_FAILS


def test_a_command_that_did_not_end_is_asked_again(tmp_path: Path) -> None:
    runner = FakeRunner({"one": Completed(exit_code=None, output="")})
    for _ in range(2):
        assert opinions([("image", "one")], runner, tmp_path, jobs=1, told=lambda _: None)[0].ending is Ending.TIMEOUT
    assert len(runner.asked) == 2
    assert list(tmp_path.iterdir()) == []


def test_labels_are_read_with_a_command_for_each_environment(tmp_path: Path) -> None:
    path = tmp_path / "labelled.toml"
    path.write_text(
        """
[[cell]]
package = "python-magic"
version = "0.4.27"
environments = ["py312-slim", "py311-alpine"]
module = "magic"
result = "PASS"
relies_on = ["setuptools"]
truth = "import magic returned"

[[cell]]
package = "types-toml"
version = "0.1"
environment = "py39-slim"
imports = []
result = "PASS"
truth = "it has nothing to import"
""",
        "utf-8",
    )
    first, second, third = labelled_cells(path)
    assert [str(one.cell.environment) for one in (first, second, third)] == ["py312-slim", "py311-alpine", "py39-slim"]
    assert first.command == second.command == "pip install python-magic==0.4.27 && python -c 'import magic'"
    assert first.facts == {"relies_on": ["setuptools"]}
    assert third.command == "pip install types-toml==0.1"


def test_a_label_with_a_key_that_nothing_reads_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "labelled.toml"
    row = '[[cell]]\npackage = "six"\nversion = "1"\nenvironment = "py39-slim"\nresult = "PASS"\ntruth = "six"\n'
    path.write_text(f'{row}relies_one = ["setuptools"]\n', "utf-8")
    with pytest.raises(ValueError, match="relies_one"):
        labelled_cells(path)


def test_what_a_record_lacks_of_its_label_is_named(record: MakeRecord) -> None:
    label = labelled()
    facts = {"relies_on": ["setuptools"], "submodules_failed": ["example.gui: missing-stdlib-module"], "detail": ["a"]}
    fact_label = Labelled(**{name: getattr(label, name) for name in Labelled.__slots__} | {"facts": facts})
    assert label.misses(record()) == []
    assert fact_label.misses(record()) == [
        "relies_on is [], not ['setuptools']",
        "submodules_failed is [], without 'example.gui: missing-stdlib-module'",
        "detail is '', without 'a'",
    ]


def test_the_command_explains_itself() -> None:
    script = Path(__file__).parents[3] / "scripts" / "second-opinion"
    done = subprocess.run([sys.executable, script, "--help"], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "plain pip" in done.stdout
