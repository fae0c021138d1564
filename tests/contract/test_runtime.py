"""The port of `ppp.check.runtime`, held to by the fake in memory and by each kind of real runtime.

What is run is told twice: as Python for the real ones, and as an act for the fake. What only walls can hold is in
`test_walls.py`, what real runtimes leave behind in `test_endings.py`.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from cell_environments import SLIM, tiny_matrix
from contract_programs import (
    ALTERNATING_OUTPUT,
    FLOOD_OUTPUT,
    LONG_S,
    MODULES,
    PROGRAMS,
    WAITING_MODULE,
    perform_scripted,
)
from fake_runtime import TMP, FakeRuntime
from runtimes import (
    LOG_KB,
    REAL,
    RuntimeKind,
    RuntimePlace,
    command_lines,
    example_file,
    running_runtime,
    small_matrix,
    wait_until,
)

from ppp.check.runtime import (
    CommandResult,
    EnvironmentUnavailableError,
    Sandbox,
    SandboxLostError,
)
from ppp.model.matrix import Platform


def run(box: Sandbox, name: str, *, timeout_s: float = 30) -> CommandResult:
    """Run a program in a sandbox."""
    source = f"WORK = {box.scratch!r}\n{PROGRAMS[name].source}"
    return box.run([box.python, "-I", "-c", source, name], timeout_s=timeout_s)


@contextmanager
def opened(
    kind: RuntimeKind, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RuntimePlace]:
    folder = tmp_path_factory.mktemp(kind)
    if kind is not RuntimeKind.FAKE:
        with running_runtime(kind, folder, request.getfixturevalue("pinned_pip")) as place:
            yield place
        return
    fake = FakeRuntime(small_matrix(SLIM), perform_scripted)
    yield RuntimePlace(kind=kind, runtime=fake, file=example_file(folder), remains=lambda: list(fake.open))


@pytest.fixture(scope="module", params=[RuntimeKind.FAKE, *REAL])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RuntimePlace]:
    with opened(request.param, request, tmp_path_factory) as place:
        yield place


@pytest.fixture(scope="module")
def box(place: RuntimePlace) -> Iterator[Sandbox]:
    """One sandbox for all that leaves none of it behind."""
    with place.sandbox() as lent:
        yield lent


@pytest.fixture
def closing(
    place: RuntimePlace, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RuntimePlace]:
    """A runtime of the same kind that may be closed."""
    with opened(place.kind, request, tmp_path_factory) as another:
        if place.kind.is_container:
            # An image tells the same of itself each time, and takes a while to.
            another.prepared_once.append(place.prepared())
        yield another


# ---------------------------------------------------------------- what a prepared environment says


def test_an_environment_says_what_it_is(place: RuntimePlace) -> None:
    prepared = place.prepared()
    assert prepared.environment is place.environment
    assert prepared.python.startswith(f"{place.environment.python}.")
    assert prepared.tags[-1] == "py30-none-any" or "py3-none-any" in prepared.tags
    assert len(prepared.tags) == len(set(prepared.tags))
    assert {".py", ".so"} <= set(prepared.suffixes)
    assert prepared.arch
    assert prepared.pip_version == tiny_matrix().pip.version
    assert (prepared.image_digest is None) == (place.environment.platform is Platform.HOST)
    assert str(prepared.network) == ("gateway" if place.kind.is_gated else "open")


def test_an_environment_can_be_prepared_twice(place: RuntimePlace) -> None:
    assert place.runtime.prepare(place.environment) == place.prepared()


# ---------------------------------------------------------------- how a command ends


def test_output_and_success(box: Sandbox) -> None:
    done = run(box, "talks")
    assert (done.exit_code, done.ok, done.timed_out, done.oom, done.import_proved) == (0, True, False, False, False)
    assert done.output == "out\nerr\n"
    assert done.duration_ms >= 0
    assert done.received_bytes == 0


def test_both_streams_stand_in_the_order_in_which_they_were_written(box: Sandbox) -> None:
    assert run(box, "alternates").output == ALTERNATING_OUTPUT.decode()


def test_a_status_is_told_as_it_is(box: Sandbox) -> None:
    done = run(box, "fails")
    assert (done.exit_code, done.ok, done.output) == (3, False, "no\n")


@pytest.mark.parametrize(("name", "number"), [("segfaults", 11), ("aborts", 6)])
def test_a_signal_is_below_zero(box: Sandbox, name: str, number: int) -> None:
    done = run(box, name)
    assert (done.exit_code, done.ok, done.oom) == (-number, False, False)


def test_time_that_is_up_ends_a_command_and_nothing_else(box: Sandbox) -> None:
    started = time.monotonic()
    done = run(box, "hangs", timeout_s=1.5)
    took = time.monotonic() - started
    assert (done.exit_code, done.timed_out, done.ok) == (None, True, False)
    assert done.output == "begun\n"
    assert 1.4 < took < 12
    assert 1400 <= done.duration_ms < 12_000
    assert run(box, "talks").ok


def test_output_beyond_the_limit_is_cut_in_the_middle_and_said_so(box: Sandbox) -> None:
    done = run(box, "floods")
    assert done.ok
    assert done.output.startswith("the beginning\n")
    assert done.output.endswith("\nthe end\n")
    assert f"[{len(FLOOD_OUTPUT) - LOG_KB * 1024} bytes of output cut here]" in done.output
    assert len(done.output) < LOG_KB * 1024 + 100


def test_what_is_no_text_is_told_as_text(box: Sandbox) -> None:
    assert run(box, "no text").output == "\N{REPLACEMENT CHARACTER}\x00ok\n"


def test_a_command_has_nothing_to_read_and_a_home_that_it_may_write_to(box: Sandbox) -> None:
    assert run(box, "reads").output == " True\n"


def test_a_command_can_be_run_elsewhere(box: Sandbox) -> None:
    source = "import os; print(os.getcwd())"
    assert box.run([box.python, "-I", "-c", source], timeout_s=30, cwd="/").output == "/\n"


def test_a_command_that_cannot_be_started_fails(box: Sandbox) -> None:
    done = box.run([f"{box.scratch}/no/such/python"], timeout_s=10)
    assert (done.exit_code, done.import_proved) == (125, False)
    assert "no such" in done.output.lower()


# ---------------------------------------------------------------- pip, and what it installs


def test_pip_is_the_pinned_one(box: Sandbox) -> None:
    done = box.pip(["--version"], timeout_s=30)
    assert done.ok
    assert done.output.startswith(f"pip {tiny_matrix().pip.version} from ")


def test_pips_own_status_is_told(box: Sandbox) -> None:
    done = box.pip(["no-such-command"], timeout_s=30)
    assert (done.exit_code, done.ok, done.import_proved) == (1, False, False)
    assert "ERROR: unknown command" in done.output


def test_what_pip_installs_can_be_imported_until_all_is_new(place: RuntimePlace, box: Sandbox) -> None:
    # Not even the pip that is at work counts as installed.
    assert box.pip(["list", "--format=freeze"], timeout_s=30).output == ""
    done = box.pip(["install", "--no-deps", "--no-compile", box.file], timeout_s=30)
    assert done.ok, done.output
    assert box.pip(["list", "--format=freeze"], timeout_s=30).output == "example-lib==1.0\n"
    assert box.prove_import("example_lib", timeout_s=30).import_proved
    box.reset()
    gone = box.prove_import("example_lib", timeout_s=30)
    assert (gone.exit_code, gone.import_proved) == (1, False)
    assert "ModuleNotFoundError" in gone.output
    assert place.file.exists()


def test_what_was_installed_can_be_looked_at(box: Sandbox) -> None:
    box.reset()
    assert not box.inspect_installation("example-lib", timeout_s=30).ok
    report = ["--report", f"{box.scratch}/report.json"]
    assert box.pip(["install", "--no-deps", "--no-compile", *report, box.file], timeout_s=30).ok
    done = box.inspect_installation("example-lib", timeout_s=30)
    assert (done.ok, done.import_proved) == (True, False)
    told = json.loads(done.output)
    ((name, version, _),) = told["installed"]
    assert (name, version) == ("example-lib", "1.0")
    assert "example_lib.py" in told["target"]["paths"]
    assert told["needs"]["requires"] == []
    assert told["needs"]["markers"]["sys_platform"] == "linux"
    box.reset()


# ---------------------------------------------------------------- the proof of an import


def write_module(box: Sandbox, name: str, source: str) -> None:
    """Put a module where pip puts them."""
    text = (
        "import sysconfig\n"
        f"with open(sysconfig.get_path('purelib') + '/{name}.py', 'w') as file:\n"
        f"    file.write({source!r})"
    )
    assert box.run([box.python, "-I", "-c", text, "writes"], timeout_s=30).ok


@pytest.mark.parametrize("name", MODULES)
def test_an_import_is_proved_only_where_the_process_came_back_from_it(box: Sandbox, name: str) -> None:
    module = MODULES[name]
    expected = module.act({})
    write_module(box, name, module.source)
    done = box.prove_import(name, timeout_s=10)
    assert (done.exit_code, done.import_proved) == (expected.exit_code, expected.import_proved), done.output


def test_a_module_that_does_not_come_back_is_not_waited_for(box: Sandbox) -> None:
    write_module(box, "waits", WAITING_MODULE.source)
    done = box.prove_import("waits", timeout_s=1)
    assert (done.exit_code, done.timed_out, done.import_proved) == (None, True, False)


# ---------------------------------------------------------------- sandboxes


def test_a_sandbox_keeps_its_files_until_it_is_renewed(box: Sandbox) -> None:
    box.reset()
    assert run(box, "looks").output == "\n"
    assert run(box, "keeps").ok
    assert run(box, "looks").output == "kept\n"
    box.reset()
    assert run(box, "looks").output == "\n"


def test_two_sandboxes_do_not_see_each_others_files(place: RuntimePlace, box: Sandbox) -> None:
    box.reset()
    with place.sandbox() as another:
        assert run(another, "keeps").ok
        assert run(box, "looks").output == "\n"


def test_a_sandbox_knows_where_its_file_is_and_what_to_call_it(place: RuntimePlace, box: Sandbox) -> None:
    assert box.file.endswith(f"/{place.file.name}")
    assert set(box.aliases.values()) == {"/ppp/file", "/ppp/pip", "/ppp/work", TMP}
    assert {path for path in (box.file, box.scratch, box.python) if not path.startswith(tuple(box.aliases))} == set()


def test_nothing_remains_of_a_sandbox(closing: RuntimePlace) -> None:
    with closing.sandbox() as box:
        assert run(box, "keeps").ok
        assert len(closing.remains()) == 1
    closing.runtime.close()
    assert not closing.remains()


def test_nothing_remains_of_a_sandbox_that_an_error_left(closing: RuntimePlace) -> None:
    def breaks_off() -> None:
        with closing.sandbox() as box:
            run(box, "keeps")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        breaks_off()
    closing.runtime.close()
    assert not closing.remains()


# ---------------------------------------------------------------- ending all


def test_close_ends_a_running_command(closing: RuntimePlace) -> None:
    raised: list[str] = []
    begun = threading.Event()

    def work() -> None:
        try:
            with closing.sandbox() as box:
                begun.set()
                run(box, "hangs", timeout_s=LONG_S)
        except SandboxLostError as error:
            raised.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(30)
    time.sleep(0.5)  # into the command itself
    started = time.monotonic()
    closing.runtime.close()
    thread.join(20)
    assert not thread.is_alive()
    assert time.monotonic() - started < 5
    assert len(raised) == 1
    assert raised[0]
    assert not closing.remains()
    # What the kernel was told to end may take it a moment.
    wait_until(lambda: not [words for words in command_lines() if f"time.sleep({LONG_S})" in words])


def test_a_closed_runtime_runs_nothing(closing: RuntimePlace) -> None:
    with closing.sandbox() as box:
        closing.runtime.close()
        for ask in (lambda: run(box, "talks"), lambda: box.pip(["list"], timeout_s=10), box.reset, box.isolate):
            with pytest.raises(SandboxLostError):
                ask()
    with pytest.raises(SandboxLostError), closing.sandbox():
        pass
    assert not closing.remains()


def test_closing_twice_is_closing_once(closing: RuntimePlace) -> None:
    closing.runtime.close()
    closing.runtime.close()
    assert not closing.remains()


# ---------------------------------------------------------------- what cannot be had


def test_what_the_fake_does_not_offer_is_unavailable_with_the_reason() -> None:
    with pytest.raises(EnvironmentUnavailableError, match="no image today"):
        FakeRuntime(tiny_matrix(), perform_scripted, unavailable="no image today").prepare(SLIM)
