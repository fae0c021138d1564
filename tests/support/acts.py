"""What is run in the contract of the runtimes, told twice: as Python for the real ones, and as an act for the fake."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from fake_runtime import Act, Files

FLOOD: Final = b"the beginning\n" + b"x" * 300_000 + b"\nthe end\n"
ALTERNATING: Final = b"".join(b"%d\n" % n for n in range(300))
#: What a command that must be ended would take otherwise.
LONG_S: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What a command does, for real and as an act."""

    source: str
    act: Callable[[Files], Act]


def _acts(source: str, **act: object) -> Program:
    return Program(source=source, act=lambda _: Act(**act))  # type: ignore[arg-type]


def _keeps(files: Files) -> Act:
    files["kept"] = b"something"
    return Act()


PROGRAMS: Final = {
    "talks": _acts("import sys; print('out', flush=True); print('err', file=sys.stderr)", output=b"out\nerr\n"),
    "alternates": _acts("import os; [os.write(1 + n % 2, b'%d\\n' % n) for n in range(300)]", output=ALTERNATING),
    "fails": _acts("print('no'); raise SystemExit(3)", output=b"no\n", exit_code=3),
    "segfaults": _acts("import os; os.kill(os.getpid(), 11)", exit_code=-11),
    "aborts": _acts("import os; os.kill(os.getpid(), 6)", exit_code=-6),
    "hangs": _acts(f"import time; print('begun', flush=True); time.sleep({LONG_S})", output=b"begun\n", takes_s=LONG_S),
    "floods": _acts("import sys; sys.stdout.write('the beginning\\n' + 'x' * 300_000 + '\\nthe end\\n')", output=FLOOD),
    "no text": _acts("import os; os.write(1, b'\\xff\\x00ok\\n')", output=b"\xff\x00ok\n"),
    "keeps": Program(source="import os; open(os.path.join(WORK, 'kept'), 'w').write('something')", act=_keeps),
    "looks": Program(
        source="import os; print(*os.listdir(WORK))",
        act=lambda files: Act(output=" ".join(files).encode() + b"\n"),
    ),
    "writes": _acts(""),
    "reads": _acts("import os, sys; print(sys.stdin.read(), os.environ['HOME'] == WORK)", output=b" True\n"),
}
#: Speaks with the keeper as `inside/importing.py` does, as far as anybody but the importing process can.
CONNECTS: Final = """
import os, socket, time
def connect():
    path = open('/proc/self/cmdline').read().split('\\0')[-2]
    there = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    there.connect(path)
    return there
def answer():
    there = connect()
    proof = b'ppp: the import has come back.  '
    there.send(bytes(a ^ b for a, b in zip(there.recv(64), proof)))
"""
#: Modules that end in all ways in which one can, and whether they have been imported then.
MODULES: Final = {
    "comes_back": _acts("print('PASS imported')", proved=True),
    "comes_back_and_has_closed_all": _acts("import os; os.closerange(0, 200)", proved=True),
    "comes_back_and_has_broken_all": _acts(
        "import os, socket, builtins\nsocket.socket = os.write = bytes = builtins.bytes = builtins.zip = None",
        proved=True,
    ),
    "comes_back_crowded": _acts(
        f"{CONNECTS}\nif os.fork() == 0:\n    while True:\n        connect().close()\ntime.sleep(0.2)", proved=True
    ),
    "comes_back_to_fail": _acts("import atexit, os; atexit.register(os._exit, 7)", exit_code=7, proved=True),
    "raises": _acts("raise ValueError('no')", exit_code=1),
    "exits_zero": _acts("import os; os._exit(0)"),
    "exits_as_one_should": _acts("raise SystemExit"),
    "says_it": _acts("import os; os.write(1, b'imported, proved, PASS'); os._exit(0)"),
    "is_killed": _acts("import os; os.kill(os.getpid(), 9)", exit_code=-9),
    "becomes_another": _acts("import os; os.execv('/bin/true', ['true'])"),
    "says_nothing_at_length": _acts(f"{CONNECTS}\nconnect().send(b'')\nos._exit(0)"),
    "guesses": _acts(f"{CONNECTS}\nthere = connect()\nthere.send(bytes(32))\nthere.send(there.recv(64))\nos._exit(0)"),
    "lets_a_child_answer": _acts(f"{CONNECTS}\nif os.fork() == 0:\n    answer()\ntime.sleep(0.3)\nos._exit(0)"),
    "lets_a_child_return": _acts("import os, time\nif os.fork():\n    time.sleep(0.3)\n    os._exit(0)"),
    "outlives_itself": _acts(f"{CONNECTS}\nif os.fork():\n    os._exit(0)\ntime.sleep(0.1)\nanswer()"),
    "leaves_a_talker": _acts(
        f"{CONNECTS}\nif os.fork():\n    time.sleep(0.2)\n    os._exit(0)\nwhile True:\n    connect().send(b'imported')"
    ),
}
WAITS: Final = _acts(f"import time; time.sleep({LONG_S})", takes_s=LONG_S)
#: What is told of the example.
LOOKED: Final = json.dumps(
    {
        "installed": [["example-lib", "1.0", None]],
        "target": {"paths": ["example_lib.py"], "import_names": None, "top_level": []},
        "needs": {"requires": [], "markers": {"sys_platform": "linux"}},
    }
).encode()


def script(argv: Sequence[str], files: Files) -> Act:  # noqa: PLR0911 - a line for each command
    """Do what the program or module of that name does."""
    match argv:
        case ["pip", "install", *_]:
            files["example_lib"] = b""
            return Act(output=b"Successfully installed example-lib-1.0\n")
        case ["pip", "--version"]:
            return Act(output=b"pip 26.0.1 from somewhere\n")
        case ["pip", "list", *_]:
            return Act(output=b"example-lib==1.0\n" if "example_lib" in files else b"")
        case ["pip", *_]:
            return Act(exit_code=1, output=b"ERROR: unknown command\n")
        case ["look", _]:
            return Act(output=LOOKED) if "example_lib" in files else Act(exit_code=1)
        case ["prove", "example_lib"]:
            return Act(proved=True) if "example_lib" in files else Act(exit_code=1, output=b"ModuleNotFoundError\n")
        case ["prove", module]:
            return {**MODULES, "waits": WAITS}[module].act(files)
        case ["run", *_, "cwd=/"]:
            return Act(output=b"/\n")
        case ["run", *words]:
            return PROGRAMS[words[-1]].act(files) if words[-1] in PROGRAMS else Act(exit_code=125, output=b"no such\n")
    return Act()
