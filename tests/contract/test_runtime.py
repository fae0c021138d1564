"""The contract of `ppp.check.runtime`, checked on the fake in memory and on each kind of real runtime.

What is run is given twice: as Python for the real ones, and as a scripted command for the fake. What only confinement
can guarantee is in `test_walls.py`, what real runtimes leave behind in `test_endings.py`.
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
    SCRIPTS,
    SCRIPTS_SOURCE,
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


def run(sandbox: Sandbox, name: str, *, timeout_s: float = 30) -> CommandResult:
    """Run a program in a sandbox."""
    source = f"WORK = {sandbox.scratch!r}\n{PROGRAMS[name].source}"
    return sandbox.run([sandbox.python, "-I", "-c", source, name], timeout_s=timeout_s)


@contextmanager
def opened(
    kind: RuntimeKind, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RuntimePlace]:
    folder = tmp_path_factory.mktemp(kind)
    if kind is not RuntimeKind.FAKE:
        with running_runtime(kind, folder, request.getfixturevalue("pinned_pip")) as running:
            yield running
        return
    fake = FakeRuntime(small_matrix(SLIM), perform_scripted)
    yield RuntimePlace(kind=kind, runtime=fake, file=example_file(folder), remains=lambda: list(fake.open))


@pytest.fixture(scope="module", params=[RuntimeKind.FAKE, *REAL])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RuntimePlace]:
    with opened(request.param, request, tmp_path_factory) as running:
        yield running


@pytest.fixture(scope="module")
def sandbox(running: RuntimePlace) -> Iterator[Sandbox]:
    """One sandbox for all tests that leave nothing in it."""
    with running.sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def closing(
    running: RuntimePlace, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RuntimePlace]:
    """A runtime of the same kind that may be closed."""
    with opened(running.kind, request, tmp_path_factory) as another:
        if running.kind.is_container:
            # An image describes itself the same each time, which takes a while.
            another.prepared_once.append(running.prepared())
        yield another


# ---------------------------------------------------------------- the description of a prepared environment


def test_an_environment_says_what_it_is(running: RuntimePlace) -> None:
    prepared = running.prepared()
    assert prepared.environment is running.environment
    assert prepared.python.startswith(f"{running.environment.python}.")
    assert prepared.tags[-1] == "py30-none-any" or "py3-none-any" in prepared.tags
    assert len(prepared.tags) == len(set(prepared.tags))
    assert {".py", ".so"} <= set(prepared.suffixes)
    assert prepared.arch
    assert prepared.pip_version == tiny_matrix().pip.version
    assert (prepared.image_digest is None) == (running.environment.platform is Platform.HOST)
    assert str(prepared.network) == ("gateway" if running.kind.is_gated else "open")


def test_an_environment_can_be_prepared_twice(running: RuntimePlace) -> None:
    assert running.runtime.prepare(running.environment) == running.prepared()


# ---------------------------------------------------------------- how a command ends


def test_output_and_success(sandbox: Sandbox) -> None:
    done = run(sandbox, "talks")
    assert (done.exit_code, done.ok, done.timed_out, done.oom, done.import_proved) == (0, True, False, False, False)
    assert done.output == "out\nerr\n"
    assert done.duration_ms >= 0
    assert done.received_bytes == 0


def test_both_streams_are_kept_in_the_order_in_which_they_were_written(sandbox: Sandbox) -> None:
    assert run(sandbox, "alternates").output == ALTERNATING_OUTPUT.decode()


def test_an_exit_status_is_reported(sandbox: Sandbox) -> None:
    done = run(sandbox, "fails")
    assert (done.exit_code, done.ok, done.output) == (3, False, "no\n")


@pytest.mark.parametrize(("name", "number"), [("segfaults", 11), ("aborts", 6)])
def test_a_signal_is_a_negative_status(sandbox: Sandbox, name: str, number: int) -> None:
    done = run(sandbox, name)
    assert (done.exit_code, done.ok, done.oom) == (-number, False, False)


@pytest.mark.attack("deadlines")
def test_a_timeout_ends_a_command_and_nothing_else(sandbox: Sandbox) -> None:
    started = time.monotonic()
    done = run(sandbox, "hangs", timeout_s=1.5)
    took = time.monotonic() - started
    assert (done.exit_code, done.timed_out, done.ok) == (None, True, False)
    assert done.output == "begun\n"
    assert 1.4 < took < 12
    assert 1400 <= done.duration_ms < 12_000
    assert run(sandbox, "talks").ok


@pytest.mark.attack("bounded-input")
def test_output_beyond_the_limit_is_cut_in_the_middle_with_a_notice(sandbox: Sandbox) -> None:
    done = run(sandbox, "floods")
    assert done.ok
    assert done.output.startswith("the beginning\n")
    assert done.output.endswith("\nthe end\n")
    assert f"[{len(FLOOD_OUTPUT) - LOG_KB * 1024} bytes of output cut here]" in done.output
    assert len(done.output) < LOG_KB * 1024 + 100


def test_bytes_that_are_not_text_are_replaced(sandbox: Sandbox) -> None:
    assert run(sandbox, "no text").output == "\N{REPLACEMENT CHARACTER}\x00ok\n"


def test_a_command_has_an_empty_input_and_a_writable_home(sandbox: Sandbox) -> None:
    assert run(sandbox, "reads").output == " True\n"


def test_a_command_can_be_run_in_another_folder(sandbox: Sandbox) -> None:
    source = "import os; print(os.getcwd())"
    assert sandbox.run([sandbox.python, "-I", "-c", source], timeout_s=30, cwd="/").output == "/\n"


def test_a_command_that_cannot_be_started_fails(sandbox: Sandbox) -> None:
    done = sandbox.run([f"{sandbox.scratch}/no/such/python"], timeout_s=10)
    assert (done.exit_code, done.import_proved) == (125, False)
    assert "no such" in done.output.lower()


# ---------------------------------------------------------------- pip, and its installations


def test_pip_is_the_pinned_one(sandbox: Sandbox) -> None:
    done = sandbox.pip(["--version"], timeout_s=30)
    assert done.ok
    assert done.output.startswith(f"pip {tiny_matrix().pip.version} from ")


def test_pips_exit_status_is_reported(sandbox: Sandbox) -> None:
    done = sandbox.pip(["no-such-command"], timeout_s=30)
    assert (done.exit_code, done.ok, done.import_proved) == (1, False, False)
    assert "ERROR: unknown command" in done.output


def listed(sandbox: Sandbox) -> list[str]:
    """Return what pip sees as installed, sorted."""
    return sorted(sandbox.pip(["list", "--format=freeze"], timeout_s=30).output.splitlines())


def test_what_pip_installs_can_be_imported_until_a_reset(running: RuntimePlace, sandbox: Sandbox) -> None:
    # The pip that runs does not count as installed, but the preinstalled one does.
    preinstalled = [f"{d.name}=={d.version}" for d in running.prepared().preinstalled]
    assert listed(sandbox) == preinstalled
    done = sandbox.pip(["install", "--no-deps", "--no-compile", sandbox.file], timeout_s=30)
    assert done.ok, done.output
    assert listed(sandbox) == sorted([*preinstalled, "example-lib==1.0"])
    assert sandbox.prove_import("example_lib", timeout_s=30).import_proved
    sandbox.reset()
    assert listed(sandbox) == preinstalled
    gone = sandbox.prove_import("example_lib", timeout_s=30)
    assert (gone.exit_code, gone.import_proved) == (1, False)
    assert "ModuleNotFoundError" in gone.output
    assert running.file.exists()


def test_an_installation_can_be_inspected(sandbox: Sandbox) -> None:
    sandbox.reset()
    assert not sandbox.inspect_installation("example-lib", timeout_s=30).ok
    report = ["--report", f"{sandbox.scratch}/report.json"]
    assert sandbox.pip(["install", "--no-deps", "--no-compile", *report, sandbox.file], timeout_s=30).ok
    done = sandbox.inspect_installation("example-lib", timeout_s=30)
    assert (done.ok, done.import_proved) == (True, False)
    found = json.loads(done.output)
    ((name, version, _),) = found["installed"]
    assert (name, version) == ("example-lib", "1.0")
    assert "example_lib.py" in found["target"]["paths"]
    assert found["needs"]["requires"] == []
    assert found["needs"]["markers"]["sys_platform"] == "linux"
    sandbox.reset()


# ---------------------------------------------------------------- the proof of an import


def write_module(sandbox: Sandbox, name: str, source: str) -> None:
    """Write a module into site-packages."""
    text = (
        "import sysconfig\n"
        f"with open(sysconfig.get_path('purelib') + '/{name}.py', 'w') as file:\n"
        f"    file.write({source!r})"
    )
    assert sandbox.run([sandbox.python, "-I", "-c", text, "writes"], timeout_s=30).ok


@pytest.mark.attack("own-verdict")
@pytest.mark.parametrize("name", MODULES)
def test_an_import_is_proved_only_if_the_process_returned_from_it(sandbox: Sandbox, name: str) -> None:
    module = MODULES[name]
    expected = module.act({})
    write_module(sandbox, name, module.source)
    done = sandbox.prove_import(name, timeout_s=10)
    assert (done.exit_code, done.import_proved) == (expected.exit_code, expected.import_proved), done.output


@pytest.mark.parametrize("target", SCRIPTS)
def test_an_attribute_is_proved_if_it_is_there_and_can_be_called(sandbox: Sandbox, target: str) -> None:
    expected = SCRIPTS[target]
    write_module(sandbox, "scripts", SCRIPTS_SOURCE)
    done = sandbox.prove_import(target, timeout_s=10)
    assert (done.exit_code, done.import_proved) == (expected.exit_code, expected.import_proved), done.output
    assert done.output == expected.output.decode()


@pytest.mark.attack("deadlines")
def test_a_module_that_does_not_return_times_out(sandbox: Sandbox) -> None:
    write_module(sandbox, "waits", WAITING_MODULE.source)
    done = sandbox.prove_import("waits", timeout_s=1)
    assert (done.exit_code, done.timed_out, done.import_proved) == (None, True, False)


# ---------------------------------------------------------------- sandboxes


def test_a_sandbox_keeps_its_files_until_a_reset(sandbox: Sandbox) -> None:
    sandbox.reset()
    assert run(sandbox, "looks").output == "\n"
    assert run(sandbox, "keeps").ok
    assert run(sandbox, "looks").output == "kept\n"
    sandbox.reset()
    assert run(sandbox, "looks").output == "\n"


@pytest.mark.attack("separate-cells")
def test_two_sandboxes_do_not_see_each_others_files(running: RuntimePlace, sandbox: Sandbox) -> None:
    sandbox.reset()
    with running.sandbox() as another:
        assert run(another, "keeps").ok
        assert run(sandbox, "looks").output == "\n"


def test_a_sandbox_has_its_file_and_aliases(running: RuntimePlace, sandbox: Sandbox) -> None:
    assert sandbox.file.endswith(f"/{running.file.name}")
    assert set(sandbox.aliases.values()) == {"/ppp/file", "/ppp/pip", "/ppp/work", TMP}
    assert {
        path for path in (sandbox.file, sandbox.scratch, sandbox.python) if not path.startswith(tuple(sandbox.aliases))
    } == set()


@pytest.mark.attack("separate-cells")
def test_nothing_remains_of_a_sandbox(closing: RuntimePlace) -> None:
    with closing.sandbox() as sandbox:
        assert run(sandbox, "keeps").ok
        assert len(closing.remains()) == 1
    closing.runtime.close()
    assert not closing.remains()


@pytest.mark.attack("separate-cells")
def test_nothing_remains_of_a_sandbox_after_an_error(closing: RuntimePlace) -> None:
    def breaks_off() -> None:
        with closing.sandbox() as sandbox:
            run(sandbox, "keeps")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        breaks_off()
    closing.runtime.close()
    assert not closing.remains()


# ---------------------------------------------------------------- closing a runtime


def test_close_ends_a_running_command(closing: RuntimePlace) -> None:
    raised: list[str] = []
    begun = threading.Event()

    def work() -> None:
        try:
            with closing.sandbox() as sandbox:
                begun.set()
                run(sandbox, "hangs", timeout_s=LONG_S)
        except SandboxLostError as error:
            raised.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(30)
    time.sleep(0.5)  # until the command itself runs
    started = time.monotonic()
    closing.runtime.close()
    thread.join(20)
    assert not thread.is_alive()
    assert time.monotonic() - started < 20
    assert len(raised) == 1
    assert raised[0]
    assert not closing.remains()
    # Killing takes the kernel a moment.
    wait_until(lambda: not [words for words in command_lines() if f"time.sleep({LONG_S})" in words])


def test_a_closed_runtime_runs_nothing(closing: RuntimePlace) -> None:
    with closing.sandbox() as sandbox:
        closing.runtime.close()
        for ask in (
            lambda: run(sandbox, "talks"),
            lambda: sandbox.pip(["list"], timeout_s=10),
            sandbox.reset,
            sandbox.isolate,
        ):
            with pytest.raises(SandboxLostError):
                ask()
    with pytest.raises(SandboxLostError), closing.sandbox():
        pass
    assert not closing.remains()


def test_closing_twice_is_allowed(closing: RuntimePlace) -> None:
    closing.runtime.close()
    closing.runtime.close()
    assert not closing.remains()


# ---------------------------------------------------------------- unavailable environments


def test_an_environment_that_the_fake_lacks_is_unavailable_with_the_reason() -> None:
    with pytest.raises(EnvironmentUnavailableError, match="no image today"):
        FakeRuntime(tiny_matrix(), perform_scripted, unavailable="no image today").prepare(SLIM)
