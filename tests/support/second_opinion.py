"""A second opinion on PPP's verdicts: what plain pip in the plain image answers, compared with PPP's record.

For each cell the command that a user would type runs in a new container of the environment's image, with the image's
own pip, as root, on the machine's network: `docker run IMAGE sh -c "pip install X==V && python -c 'import M'"`. Nothing
of PPP takes part. Where the two differ, the labelled data must name the reason; a reason for cells that agree is an
error, too, so that no explanation outlives its cause. Opinions are kept by image, release and command, because they
change only with these (and with the index): a second run asks only what is new.
"""

import hashlib
import json
import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

from online_set import Labelled
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ppp.model.record import Phase, Record, Result

MAX_LINE: Final = 200
_INSTALLED: Final = re.compile(r"^(?:Successfully installed|Requirement already satisfied:) ", re.MULTILINE)
#: Lines of pip that say nothing about a release.
_NOISE: Final = re.compile(r"^\s*$|^\[notice\]|^(?:WARNING|DEPRECATION|NOTE|hint)\b|^note: This error")


class Ending(StrEnum):
    """How the command of a user ended."""

    IMPORTS = "imports"
    IMPORT_FAILS = "import fails"
    INSTALL_FAILS = "install fails"
    TIMEOUT = "no end in time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """A command that ran in an image: exit status (None if it was ended for its time), and all that it printed."""

    exit_code: int | None
    output: str


class Runner(Protocol):
    """Runs commands in images."""

    def digest(self, image: str) -> str:
        """Return what identifies the image's content."""

    def run(self, image: str, command: str) -> Completed:
        """Run a shell command in a new container."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """How plain pip ended in the plain image, and the last line that says something."""

    ending: Ending
    line: str


class Accord(StrEnum):
    """What comes of comparing an opinion with a record; the last two are errors."""

    AGREES = "agrees"
    EXPLAINED = "explained"
    DIFFERS = "DIFFERS"
    NEEDLESS = "AGREES, BUT IS EXPLAINED"

    @property
    def is_error(self) -> bool:
        """Return whether this must not be."""
        return self in {Accord.DIFFERS, Accord.NEEDLESS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A cell with both answers, and what comes of comparing them."""

    labelled: Labelled
    record: Record
    opinion: Opinion

    @property
    def agreement(self) -> Accord:
        """Return whether the two agree, and whether the labelled data says why not."""
        agree = expected_ending(self.record) is self.opinion.ending
        if self.labelled.differs:
            return Accord.NEEDLESS if agree else Accord.EXPLAINED
        if agree:
            return Accord.AGREES
        return Accord.EXPLAINED if self.labelled.may_differ else Accord.DIFFERS


def expected_ending(record: Record) -> Ending | None:
    """Return how a user's command ends if a record is right; None if the record holds no verdict."""
    match record.result:
        case Result.PASS:
            return Ending.IMPORTS
        case Result.FAIL:
            return Ending.IMPORT_FAILS if record.failed_phase is Phase.IMPORT else Ending.INSTALL_FAILS
        case Result.NA:
            return Ending.INSTALL_FAILS
        case Result.TIMEOUT:
            return Ending.TIMEOUT
        case Result.ERROR:
            return None


def read_opinion(completed: Completed) -> Opinion:
    """Return what a command's end and output say."""
    if completed.exit_code is None:
        ending = Ending.TIMEOUT
    elif completed.exit_code == 0:
        ending = Ending.IMPORTS
    else:
        ending = Ending.IMPORT_FAILS if _INSTALLED.search(completed.output) else Ending.INSTALL_FAILS
    lines = [line.strip() for line in completed.output.splitlines() if not _NOISE.search(line)]
    line = "".join(c if c.isprintable() else " " for c in (lines or [""])[-1])
    return Opinion(ending=ending, line=line[:MAX_LINE])


def opinions(
    cells: Sequence[tuple[str, str]], runner: Runner, cache: Path, *, jobs: int, told: Callable[[str], None] = print
) -> list[Opinion]:
    """Return an opinion for each pair of an image and a command; those in `cache` are not asked for again."""
    digests = {image: runner.digest(image) for image, _ in cells}

    def ask(cell: tuple[str, str]) -> Opinion:
        image, command = cell
        path = cache / f"{_key(digests[image], command)}.json"
        if path.exists():
            kept = json.loads(path.read_text("utf-8"))
            return Opinion(ending=Ending(kept["ending"]), line=kept["line"])
        completed = runner.run(image, command)
        opinion = read_opinion(completed)
        told(f"{image}: {command}: {opinion.ending}")
        # The whole log, because this is where a label's truth is read from.
        kept = {**asdict(opinion), "image": image, "digest": digests[image], "command": command, **asdict(completed)}
        if opinion.ending is not Ending.TIMEOUT:
            # An interrupted run leaves no half of a file.
            partial = path.with_suffix(".partial")
            partial.write_text(json.dumps(kept, indent=1), "utf-8")
            partial.replace(path)
        return opinion

    cache.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(jobs) as threads:
        return list(threads.map(ask, cells))


def _key(digest: str, command: str) -> str:
    return hashlib.sha256(f"{digest}\n{command}".encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerRunner:
    """Runs commands by the docker command, each for at most `timeout_s` seconds."""

    timeout_s: float
    environ: Mapping[str, str]

    def digest(self, image: str) -> str:
        """Return the id of a local image, which is a digest; raise `CalledProcessError` if there is none."""
        command = ("docker", "image", "inspect", "--format", "{{.Id}}", image)
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()

    def run(self, image: str, command: str) -> Completed:
        """Run a shell command in a new container, which is removed at its end."""
        name = f"second-opinion-{os.getpid()}-{_key(image, command)[:16]}"
        options = ("--rm", "--network", "host", "--memory", "3g", "--name", name)
        docker = ("docker", "run", *options, image, "sh", "-c", command)
        try:
            done = subprocess.run(
                docker,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=self.timeout_s,
                env=dict(self.environ),
                check=False,
            )
        except subprocess.TimeoutExpired as expired:
            # The command's end leaves the container running.
            subprocess.run(("docker", "kill", name), capture_output=True, timeout=60, check=False)
            return Completed(exit_code=None, output=(expired.output or b"").decode(errors="replace"))
        if done.returncode == 125:
            raise RuntimeError(f"docker could not run {image}: {done.stdout.decode(errors='replace')[-500:]}")
        return Completed(exit_code=done.returncode, output=done.stdout.decode(errors="replace"))


def print_table(comparisons: Sequence[Comparison], console: Console) -> int:
    """Print the table and a summary; return the number of disagreements without a reason and reasons without one."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("release", "environment", "plain pip in the image", "PPP", "cause", "the two"):
        table.add_column(title, overflow="fold")
    table.add_column("why, or pip's last line", overflow="fold", ratio=1)
    for one in comparisons:
        agreement, labelled, record = one.agreement, one.labelled, one.record
        said = (labelled.differs or labelled.may_differ) if agreement is Accord.EXPLAINED else one.opinion.line
        row = (str(labelled.cell.release), labelled.cell.environment, str(one.opinion.ending), _result(record))
        last = (record.cause or "", str(agreement), "" if agreement is Accord.AGREES else said)
        # As `Text`, because a string could contain what looks like markup.
        table.add_row(*(Text(cell) for cell in (*row, *last)))
    console.print(table)
    counts = {agreement: sum(one.agreement is agreement for one in comparisons) for agreement in Accord}
    told = ", ".join(f"{count} {agreement}" for agreement, count in counts.items() if count)
    console.print(f"{len(comparisons)} cells: {told}", markup=False, highlight=False)
    return sum(count for agreement, count in counts.items() if agreement.is_error)


def _result(record: Record) -> str:
    return f"{record.result} ({record.failed_phase.label})" if record.failed_phase else str(record.result)
