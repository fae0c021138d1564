"""Strategies for all that can come out of a cell whose code is hostile, and a check of such a cell on the fake runtime.

What comes out: pip's report and the files of a dist-info, as they lie in the sandbox; the description that is made of
them; and of each command its output, exit code, times and counts.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cell_environments import SLIM, tiny_matrix
from fake_runtime import MARKERS, FakeRuntime, Files, ScriptedCommand, prepared_environment
from hypothesis import strategies as st

from ppp.check.cell import Checker, Observation
from ppp.check.index.choose import IndexFile
from ppp.ledger.batches import encode_batch
from ppp.mesh.batch import Batch, verify_batch
from ppp.mesh.node import NodeKey
from ppp.model.canonical import sha256_hex
from ppp.model.matrix import Cell
from ppp.model.record import Record
from ppp.model.release import Release
from ppp.record_rules import record_mistakes

KEY: Final = NodeKey.from_seed(b"k" * 32)
NOW: Final = 1_714_003_200
CELL: Final = Cell(release=Release.parse("example-lib", "2.1.0"), environment=SLIM.id)
CONTENT: Final = b"a file"
FOLDER: Final = "example_lib-2.1.0.dist-info"
OWN_ROW: Final = ["Example.Lib", "2.1.0", sha256_hex(CONTENT)]

#: Around the bounds of the published schema.
_LENGTHS: Final = (64, 128, 129, 213, 214, 215, 255, 256, 300, 301, 500, 501, 5000)
#: Letters that are two when made lower-case or encoded, that `re.IGNORECASE` takes for others, or that control things.
_LETTERS: Final = (
    "a",
    "1",
    "İ",
    "K",
    "\u017f",
    "ß",
    "\u0130\u0307",
    "\x00",
    "\x1b",
    "\x9b",
    "\u2028",
    "\u202e",
    "\ud800",
    "🐍",
)
texts = (
    st.text(st.characters(), max_size=30)
    | st.builds(lambda letter, length: letter * length, st.sampled_from(_LETTERS), st.sampled_from(_LENGTHS))
    | st.sampled_from(
        ["", "example-lib", "2.1.0", "a.b" * 70, "../../etc/passwd", "127.0.0.1 " * 40, "index.internal" * 30]
    )
)
numbers = st.integers() | st.floats() | st.sampled_from([2**53 - 1, 2**53, -1, 10**400])
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)


def mostly(usual: st.SearchStrategy[Any], other: st.SearchStrategy[Any] = json_values) -> st.SearchStrategy[Any]:
    """Return a strategy of usual values, and now and then of others: so that a cell often gets far."""
    return st.integers(0, 29).flatmap(lambda number: other if number == 1 else usual)


project_names = st.sampled_from(["other", "O.t_her", "x" * 214, "zed"])
versions = st.sampled_from(["1.0", "1" * 128, "2.0rc1", "\x1b[31m"]) | texts
rows = mostly(
    st.tuples(project_names, versions, st.none() | st.just("5a" * 32)).map(list),
    st.tuples(texts, texts, texts | st.none()).map(list) | st.lists(json_values, max_size=4),
)


entry_points = st.tuples(
    st.sampled_from(["console_scripts", "gui_scripts"]) | texts,
    texts,
    st.sampled_from(["example_lib:main", "other.cli:run [fast]", "class:def"]) | texts,
).map(list)
targets = st.fixed_dictionaries(
    {
        "folder": mostly(st.just(FOLDER), texts),
        "paths": mostly(st.lists(mostly(texts | st.sampled_from(["example_lib.py", "a/b.py", "../x.py"])), max_size=5)),
        "inner": mostly(
            st.lists(mostly(texts | st.sampled_from(["example_lib/a.py", "a/b.so", "a/../x.py"])), max_size=5)
        ),
        "import_names": mostly(st.none() | st.lists(mostly(texts), max_size=4)),
        "top_level": mostly(st.lists(mostly(texts), max_size=3)),
        "entry_points": mostly(st.lists(mostly(entry_points), max_size=4)),
        "digests": mostly(st.dictionaries(texts, texts, max_size=3)),
    }
)
needs = st.fixed_dictionaries(
    {
        "requires": mostly(st.lists(mostly(texts | st.sampled_from(["other", "other; os_name == 'nt'"])), max_size=3)),
        "markers": mostly(st.just(MARKERS) | st.dictionaries(st.sampled_from(["os_name", "extra"]), json_values)),
    }
)
descriptions = st.fixed_dictionaries(
    {
        "installed": mostly(st.lists(rows, max_size=3).map(lambda more: [OWN_ROW, *more]), st.lists(rows, max_size=4)),
        "requested": mostly(st.just([OWN_ROW]), st.lists(mostly(rows), max_size=2)),
        "folders": mostly(st.just([FOLDER]), st.lists(texts, max_size=3)),
        "target": mostly(targets),
        "needs": mostly(needs),
    }
)
#: Of an installation without dependencies, so that the cell goes on.
alone_descriptions = descriptions.map(lambda data: data | {"installed": [OWN_ROW]})
#: What the inspection prints: a description, other JSON, JSON that is too deep, or no JSON at all.
broken_outputs = (
    json_values.map(lambda data: json.dumps(data).encode())
    | st.sampled_from([b"[" * 100_000, b'{"a":' * 100_000, b"1" * 10_000, b"NaN", b""])
    | st.binary(max_size=100)
)
inspection_outputs = mostly(descriptions.map(lambda data: json.dumps(data).encode()), broken_outputs)
alone_outputs = mostly(alone_descriptions.map(lambda data: json.dumps(data).encode()), inspection_outputs)
#: What else commands print: lines that causes are found by, with anything in them.
log_lines = st.sampled_from(
    [
        "      error: command 'gcc' failed: {}",
        "ERROR: No matching distribution found for {}",
        "ModuleNotFoundError: No module named '{}'",
        'Traceback (most recent call last):\n  File "/site-packages/{}/x.py", line 1, in <module>\nValueError: {}',
        "Requested {} has inconsistent version",
        "{}",
    ]
)
outputs = st.binary(max_size=100) | st.lists(
    st.builds(lambda line, text: line.replace("{}", text), log_lines, texts)
).map(lambda lines: "\n".join(lines).encode("utf-8", "surrogatepass"))
commands = st.builds(
    ScriptedCommand,
    output=outputs,
    exit_code=st.sampled_from([0, 0, 0, 1, 125, -9, -11]) | st.integers(min_value=-64, max_value=255),
    oom=mostly(st.just(False), st.just(True)),  # noqa: FBT003 - a strategy's values
    import_proved=st.booleans(),
    received_bytes=st.integers(min_value=0, max_value=2**53 - 1),
    takes_s=st.just(0.0),
    lost=mostly(st.none(), texts),
)
successes = st.builds(ScriptedCommand, output=outputs, import_proved=st.just(True))  # noqa: FBT003 - a strategy's value


@dataclass(frozen=True, slots=True, kw_only=True)
class HostileScript:
    """The script of a cell of which every command and every inspection is given; see `fake_runtime.Script`."""

    by_step: dict[str, ScriptedCommand]
    inspections: list[bytes]

    def __call__(self, argv: Sequence[str], files: Files) -> ScriptedCommand:
        if argv[0] == "inspect":
            # The first is that of the installation alone.
            number = int(files.get("inspections", b"0"))
            files["inspections"] = str(number + 1).encode()
            return ScriptedCommand(output=self.inspections[number % len(self.inspections)])
        step = argv[1] if argv[0] == "pip" else argv[0]
        return self.by_step.get("nodeps" if "--no-deps" in argv else step, ScriptedCommand(import_proved=True))


hostile_scripts = st.builds(
    HostileScript,
    by_step=st.dictionaries(
        st.sampled_from(["begin", "nodeps", "install", "check", "reset", "isolate", "prove"]),
        mostly(successes, commands),
    ),
    inspections=st.tuples(alone_outputs, inspection_outputs).map(list),
)
#: The files of a cell as they lie in the sandbox, by their names.
inside_files = st.fixed_dictionaries(
    {
        "report.json": st.builds(
            lambda items: json.dumps({"install": items}).encode(),
            mostly(
                st.lists(
                    mostly(
                        st.builds(
                            lambda row, requested: {
                                "metadata": {"name": row[0], "version": row[1]},
                                "download_info": {"archive_info": {"hashes": {"sha256": row[2]}}},
                                "requested": requested,
                            },
                            st.just(OWN_ROW) | st.tuples(mostly(texts), mostly(texts), mostly(texts)),
                            mostly(st.just(True)),  # noqa: FBT003 - a strategy's value
                        )
                    ),
                    max_size=3,
                )
            ),
        )
        | inspection_outputs,
        "METADATA": st.builds(
            lambda name, version, more: f"Name: {name}\nVersion: {version}\n{more}".encode("utf-8", "surrogatepass"),
            st.just("Example.Lib") | texts,
            st.just("2.1.0") | texts,
            st.lists(st.builds("{}: {}".format, st.sampled_from(["Import-Name", "Requires-Dist", "Name"]), texts)).map(
                "\n".join
            ),
        )
        | st.binary(max_size=200),
        "RECORD": st.lists(texts.map('"{}",,'.format) | texts)
        .map("\n".join)
        .map(lambda t: t.encode("utf-8", "surrogatepass"))
        | st.binary(max_size=200),
        "top_level.txt": texts.map(lambda t: t.encode("utf-8", "surrogatepass")),
    }
)


class OneFileIndex:
    """See `ppp.check.index.client.Index`: an index with one file."""

    def __init__(self, folder: Path, filename: str) -> None:
        self._folder = folder
        self._file = IndexFile(
            filename=filename,
            url="https://files.example/x",
            sha256=sha256_hex(CONTENT),
            requires_python=None,
            yanked=False,
        )

    def files(self, package: str) -> tuple[IndexFile, ...]:
        return (self._file,) if package == CELL.release.package else ()

    def status(self, package: str) -> None:
        """No project has a status."""

    def fetch(self, file: IndexFile, *, timeout_s: float, max_bytes: int) -> Path:  # noqa: ARG002 - the port's
        path = self._folder / file.filename
        path.write_bytes(CONTENT)
        return path


def check_hostile(folder: Path, script: HostileScript, *, is_wheel: bool, hosts: frozenset[str]) -> Observation:
    """Check a cell on the fake runtime, and return what was observed."""
    matrix = tiny_matrix(SLIM)
    index = OneFileIndex(folder, "example_lib-2.1.0-py3-none-any.whl" if is_wheel else "example_lib-2.1.0.tar.gz")
    runtime = FakeRuntime(matrix, script)
    checker = Checker(
        index=index, runtime=runtime, matrix=matrix, node=KEY.id, index_hosts=lambda: hosts, clock=lambda: NOW
    )
    return checker.check(CELL, prepared_environment(SLIM))


def assert_peers_accept(observation: Observation) -> Record:
    """Check that a peer accepts the batch of an observation, and return its record."""
    record, log = observation.record, observation.log
    assert record_mistakes(record) == []
    logs = {} if log is None or record.log_sha256 is None else {record.log_sha256: log}
    data = encode_batch(KEY.id, [record], logs)
    found = verify_batch(data, KEY.sign(data), batch_id=sha256_hex(data), trusted={KEY.id}, now=NOW)
    assert isinstance(found, Batch)
    return record
