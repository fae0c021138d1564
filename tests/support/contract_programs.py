"""Programs for the contract tests of runtimes, each twice: as Python source for real ones, as a script for the fake."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from fake_runtime import Files, ScriptedCommand

FLOOD_OUTPUT: Final = b"the beginning\n" + b"x" * 300_000 + b"\nthe end\n"
ALTERNATING_OUTPUT: Final = b"".join(b"%d\n" % n for n in range(300))
#: How long a command runs that must be ended.
LONG_S: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractProgram:
    """A program as Python source, and as a scripted command of the fake."""

    source: str
    act: Callable[[Files], ScriptedCommand]


def _program(source: str, **act: object) -> ContractProgram:
    return ContractProgram(source=source, act=lambda _: ScriptedCommand(**act))  # type: ignore[arg-type]


def _write_kept_file(files: Files) -> ScriptedCommand:
    files["kept"] = b"something"
    return ScriptedCommand()


PROGRAMS: Final = {
    "talks": _program("import sys; print('out', flush=True); print('err', file=sys.stderr)", output=b"out\nerr\n"),
    "alternates": _program(
        "import os; [os.write(1 + n % 2, b'%d\\n' % n) for n in range(300)]", output=ALTERNATING_OUTPUT
    ),
    "fails": _program("print('no'); raise SystemExit(3)", output=b"no\n", exit_code=3),
    "segfaults": _program("import os; os.kill(os.getpid(), 11)", exit_code=-11),
    "aborts": _program("import os; os.kill(os.getpid(), 6)", exit_code=-6),
    "hangs": _program(
        f"import time; print('begun', flush=True); time.sleep({LONG_S})", output=b"begun\n", takes_s=LONG_S
    ),
    "floods": _program(
        "import sys; sys.stdout.write('the beginning\\n' + 'x' * 300_000 + '\\nthe end\\n')", output=FLOOD_OUTPUT
    ),
    "no text": _program("import os; os.write(1, b'\\xff\\x00ok\\n')", output=b"\xff\x00ok\n"),
    "keeps": ContractProgram(
        source="import os; open(os.path.join(WORK, 'kept'), 'w').write('something')", act=_write_kept_file
    ),
    "looks": ContractProgram(
        source="import os; print(*os.listdir(WORK))",
        act=lambda files: ScriptedCommand(output=" ".join(files).encode() + b"\n"),
    ),
    "writes": _program(""),
    "reads": _program("import os, sys; print(sys.stdin.read(), os.environ['HOME'] == WORK)", output=b" True\n"),
}
#: Speaks the keeper's protocol as `inside/importer.py` does, as far as any other process can.
KEEPER_CLIENT_SOURCE: Final = """
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
#: Modules whose import ends in every possible way, and whether the import is proved.
MODULES: Final = {
    "comes_back": _program("print('PASS imported')", import_proved=True),
    "comes_back_and_has_closed_all": _program("import os; os.closerange(0, 200)", import_proved=True),
    "comes_back_and_has_broken_all": _program(
        "import os, socket, builtins\nsocket.socket = os.write = bytes = builtins.bytes = builtins.zip = None",
        import_proved=True,
    ),
    "comes_back_crowded": _program(
        f"{KEEPER_CLIENT_SOURCE}\nif os.fork() == 0:\n    while True:\n        connect().close()\ntime.sleep(0.2)",
        import_proved=True,
    ),
    "comes_back_to_fail": _program("import atexit, os; atexit.register(os._exit, 7)", exit_code=7, import_proved=True),
    "raises": _program("raise ValueError('no')", exit_code=1),
    "exits_zero": _program("import os; os._exit(0)"),
    "exits_as_one_should": _program("raise SystemExit"),
    "says_it": _program("import os; os.write(1, b'imported, proved, PASS'); os._exit(0)"),
    "is_killed": _program("import os; os.kill(os.getpid(), 9)", exit_code=-9),
    "becomes_another": _program("import os; os.execv('/bin/true', ['true'])"),
    "says_nothing_at_length": _program(f"{KEEPER_CLIENT_SOURCE}\nconnect().send(b'')\nos._exit(0)"),
    "guesses": _program(
        f"{KEEPER_CLIENT_SOURCE}\nthere = connect()\nthere.send(bytes(32))\nthere.send(there.recv(64))\nos._exit(0)"
    ),
    "lets_a_child_answer": _program(
        f"{KEEPER_CLIENT_SOURCE}\nif os.fork() == 0:\n    answer()\ntime.sleep(0.3)\nos._exit(0)"
    ),
    "lets_a_child_return": _program("import os, time\nif os.fork():\n    time.sleep(0.3)\n    os._exit(0)"),
    "outlives_itself": _program(f"{KEEPER_CLIENT_SOURCE}\nif os.fork():\n    os._exit(0)\ntime.sleep(0.1)\nanswer()"),
    "leaves_a_talker": _program(
        f"{KEEPER_CLIENT_SOURCE}\nif os.fork():\n    time.sleep(0.2)\n    os._exit(0)\n"
        "while True:\n    connect().send(b'imported')"
    ),
}
#: What is looked for in the module `scripts`, and whether it is proved to be there.
SCRIPTS_SOURCE: Final = """
import os
import sys
import types
number = 1
class App:
    def run(self): pass
def main(): print('run')
sys.modules['scripts'].__path__ = []
inner = types.ModuleType('scripts.inner')
inner.main = main
sys.modules['scripts.inner'] = inner
"""
SCRIPTS: Final = {
    "scripts:main": ScriptedCommand(import_proved=True),
    "scripts:App.run": ScriptedCommand(import_proved=True),
    "scripts.inner:main": ScriptedCommand(import_proved=True),
    "scripts:inner.main": ScriptedCommand(import_proved=True),
    "scripts:left": ScriptedCommand(exit_code=1, output=b"scripts has no attribute left\n"),
    "scripts:App.left.run": ScriptedCommand(exit_code=1, output=b"scripts has no attribute App.left.run\n"),
    "scripts:number": ScriptedCommand(exit_code=1, output=b"scripts:number cannot be called\n"),
}
WAITING_MODULE: Final = _program(f"import time; time.sleep({LONG_S})", takes_s=LONG_S)
#: The inspection of the example.
INSPECTION_OUTPUT: Final = json.dumps(
    {
        "installed": [["example-lib", "1.0", None]],
        "target": {"paths": ["example_lib.py"], "inner": [], "import_names": None, "top_level": []},
        "needs": {"requires": [], "markers": {"sys_platform": "linux"}},
    }
).encode()


def perform_scripted(argv: Sequence[str], files: Files) -> ScriptedCommand:  # noqa: PLR0911 - a line for each command
    """Return the scripted command of the program or module that the arguments name."""
    match argv:
        case ["pip", "install", *_]:
            files["example_lib"] = b""
            return ScriptedCommand(output=b"Successfully installed example-lib-1.0\n")
        case ["pip", "--version"]:
            return ScriptedCommand(output=b"pip 26.0.1 from somewhere\n")
        case ["pip", "list", *_]:
            return ScriptedCommand(output=(b"example-lib==1.0\n" if "example_lib" in files else b"") + b"pip==24.0\n")
        case ["pip", *_]:
            return ScriptedCommand(exit_code=1, output=b"ERROR: unknown command\n")
        case ["inspect", _]:
            return ScriptedCommand(output=INSPECTION_OUTPUT) if "example_lib" in files else ScriptedCommand(exit_code=1)
        case ["prove", "example_lib"]:
            return (
                ScriptedCommand(import_proved=True)
                if "example_lib" in files
                else ScriptedCommand(exit_code=1, output=b"ModuleNotFoundError\n")
            )
        case ["prove", module]:
            return SCRIPTS.get(module) or {**MODULES, "waits": WAITING_MODULE}[module].act(files)
        case ["run", *_, "cwd=/"]:
            return ScriptedCommand(output=b"/\n")
        case ["run", *words]:
            return (
                PROGRAMS[words[-1]].act(files)
                if words[-1] in PROGRAMS
                else ScriptedCommand(exit_code=125, output=b"no such\n")
            )
    return ScriptedCommand()
