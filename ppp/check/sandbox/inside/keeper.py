"""The keeper: the first process of a sandbox. It starts all that runs there, and reports how it ended.

The protocol. The keeper connects to the host's Unix socket before any package code runs, and sends `{"ready": true}`;
or, if it cannot confine what it starts or fill the virtual environment, `{"ready": false, "reason": TEXT}`, and exits.
Then the host sends requests, one at a time, and waits for the response to each:

- A request is a line of JSON: `{"do": COMMAND, ...}`, with the arguments of the method `do_COMMAND`. The commands are
  `run`, `pip`, `inspect`, `prove`, `reset` and `isolate`.
- A response is a line of JSON, whose `output_bytes` says how many bytes of output follow it. For the first four
  commands it has `exit_code` (negative for a signal, null where the time was up), `duration_ms`, `oom`,
  `import_proved`, `loaded` (of the watched modules), `received_bytes` (from the gateway) and `waited_ms` (for it).
- When the host closes the connection, the keeper kills everything in the sandbox and exits.

A command's process runs as another user where the sandbox lets the keeper change users, and everything that it leaves
running is killed before the response is sent. Being the first process of its namespace, the keeper cannot be killed
from inside. It has pip imported, and forks for each use of it.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import resource
import select
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from .forwarder import Forwarder
from .inspection import inspect
from .output import Output
from .pip_process import preload_pip, show_installed_to_pip, site_packages
from .preinstalled import copy_into
from .processes import (
    PR_CAPBSET_DROP,
    PR_SET_CHILD_SUBREAPER,
    PR_SET_DUMPABLE,
    PR_SET_NO_NEW_PRIVS,
    PR_SET_PDEATHSIG,
    count_oom_kills,
    descendants_of,
    drop_capabilities,
    exiting,
    install_call_filter,
    parent_death_signal,
    prctl,
    reap,
)
from .proof import Proof
from .removal import clear_folder, clear_folders, move_into
from .shared_files import shared_files
from .startup import create_environment, empty_folder, scratch_folder, trusted_python, venv_folder

if TYPE_CHECKING:
    from .startup import Settings

#: How long processes may take to be gone after they were killed.
KILL_TIMEOUT_S = 10
#: How long removing the cell's own files may take, and how long filling a virtual environment.
REMOVE_TIMEOUT_S = 60
FILL_TIMEOUT_S = 60
#: Where a cell in a namespace of its own can leave something besides its folders.
SHARED_FOLDERS = ("/dev/shm", "/dev/mqueue")  # noqa: S108 - inside
#: The longest description of an installation, in bytes: the host holds it in memory several times.
MAX_INSPECTION_BYTES = 16 * 1024 * 1024


class Keeper:
    """Serves the host's requests, one at a time."""

    def __init__(self, settings: Settings, control: socket.socket) -> None:
        self.settings = settings
        self.control = control
        self.user = settings["user"]
        self.gateway = settings["gateway"]
        self.oom_kills = count_oom_kills() if settings["counts_oom"] else 0
        self.death_signal = parent_death_signal()
        # Written to when a child ends, which alone would not wake poll().
        self.wakeup, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        if os.getpid() != 1:
            # From inside, the first process of a namespace only gets signals for which it has a handler.
            signal.signal(signal.SIGTERM, lambda *_: self.shut_down())
        if self.user is None:
            prctl(PR_SET_CHILD_SUBREAPER, 1)
            # No other process of the same user may read or write this one's memory.
            prctl(PR_SET_DUMPABLE, 0)

    def serve(self) -> None:
        """Serve requests until the host closes the connection."""
        requests = self.control.makefile("rb")
        if not self.fill_environment():
            send(self.control, {"ready": False, "reason": "what is preinstalled could not be copied"})
            return
        send(self.control, {"ready": True})
        for line in requests:
            request = json.loads(line)
            getattr(self, "do_" + request.pop("do"))(**request)
        self.kill_until_gone()

    def do_run(self, argv: list[str], cwd: str | None, timeout_s: float) -> None:
        """Run a program, in the scratch folder unless `cwd` says otherwise."""

        def start() -> NoReturn:
            os.chdir(cwd or scratch_folder(self.settings))
            os.execvp(argv[0], argv)

        self.run_process(start, timeout_s)

    def do_prove(self, program: str, module: str, watched: list[str], hidden: list[str], timeout_s: float) -> None:
        """Import a module in a fresh interpreter, in an empty folder, and have it prove that the import returned.

        `program` is the source of `importer`, which also says which of the `watched` modules it loaded, and cannot
        import the `hidden` ones.
        """
        # No process of the cell can have created a socket of this name before.
        proof = Proof(os.path.join(self.settings["work"], "proof-" + os.urandom(4).hex()), watched)
        python = trusted_python(self.settings)

        def start() -> NoReturn:
            os.chdir(empty_folder(self.settings))
            names = [",".join(watched), ",".join(hidden)]
            os.execv(python, [python, "-I", "-B", "-S", "-c", program, module, *names, proof.path])

        self.run_process(start, timeout_s, proof=proof)

    def do_inspect(self, package: str, folder: str | None, timeout_s: float) -> None:
        """Output a description of the last installation, see `inspection`. It is read as the cell's user."""

        def start() -> None:
            from pip._vendor.packaging.markers import default_environment

            # Computed here: those in pip's report could have been changed.
            markers = {name: str(value) for name, value in default_environment().items()}
            found = inspect(scratch_folder(self.settings), site_packages(), package, folder, markers)
            json.dump({**found, "shared": shared_files(site_packages())}, sys.stdout)

        self.run_process(start, timeout_s, max_bytes=MAX_INSPECTION_BYTES)

    def do_pip(self, argv: list[str], timeout_s: float) -> None:
        """Run pip in the virtual environment."""
        forwarder = Forwarder(self.gateway, self.settings["port"]) if self.gateway else None

        def start() -> int | None:
            from pip._internal.cli.main import main

            os.chdir(scratch_folder(self.settings))
            # This pip is not installed in the environment: a package that requires pip gets one.
            sys.path.remove(self.settings["pip"])
            show_installed_to_pip()
            if isinstance(sys.stdout, io.TextIOWrapper):
                sys.stdout.reconfigure(line_buffering=True)
            sys.argv = ["pip", *argv]
            return main(argv)

        self.run_process(start, timeout_s, forwarder=forwarder)

    def run_process(
        self,
        start: Callable[[], int | None],
        timeout_s: float,
        *,
        proof: Proof | None = None,
        forwarder: Forwarder | None = None,
        max_bytes: int | None = None,
    ) -> None:
        """Run `start` in a process of the cell, wait for it, kill whatever it left running, and respond."""
        output = Output(max_bytes or self.settings["log_bytes"])
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        started = time.monotonic()
        pid = os.fork()
        if pid == 0:
            with exiting(125):
                self.become_cell(writing)
                sys.exit(start() or 0)
        os.close(writing)
        status = self.wait_for(pid, reading, output, proof, started + timeout_s)
        duration_ms = round((time.monotonic() - started) * 1000)
        if forwarder:
            forwarder.end()
        self.kill_until_gone()
        output.read_rest(reading)
        os.close(reading)
        if proof:
            # The response may have been sent just before the process ended.
            proof.read_response()
        head = {
            "exit_code": None if status is None else os.waitstatus_to_exitcode(status),
            "duration_ms": duration_ms,
            "oom": self.had_oom_kill(),
            "import_proved": proof is not None and proof.given,
            "loaded": proof.loaded if proof else [],
            "received_bytes": forwarder.count(forwarder.RECEIVED) if forwarder else 0,
            "waited_ms": forwarder.count(forwarder.WAITED_US) // 1000 if forwarder else 0,
        }
        if proof:
            proof.close()
        send(self.control, head, output.data())

    def wait_for(self, pid: int, reading: int, output: Output, proof: Proof | None, deadline: float) -> int | None:
        """Wait for a process, collect its output meanwhile, and return its wait status; None once its time is up."""
        poll = select.poll()
        poll.register(reading, select.POLLIN)
        poll.register(self.wakeup, select.POLLIN)
        poll.register(self.control, 0)
        if proof:
            poll.register(proof.listening, select.POLLIN)
        while (left_s := deadline - time.monotonic()) > 0:
            for descriptor, event in poll.poll(left_s * 1000):
                if descriptor == reading and not output.read_some(reading):
                    poll.unregister(reading)
                elif descriptor == self.wakeup:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self.wakeup, 4096)
                elif descriptor == self.control.fileno() and event & (select.POLLHUP | select.POLLERR):
                    self.shut_down()
                elif proof and descriptor == proof.listening.fileno():
                    proof.accept_from(pid)
            if pid in (ended := reap()):
                return ended[pid]
        return None

    def become_cell(self, writing: int) -> None:
        """Turn this forked process into one that may run package code: no privileges, and one pipe for its output."""
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(writing, 1)
        os.dup2(1, 2)
        os.closerange(3, 256)
        for name, value in self.settings["rlimits"].items():
            limit = getattr(resource, name)
            hard = resource.getrlimit(limit)[1]
            lowest = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(limit, (lowest, lowest))
        # Should memory run out, the kernel kills this process before the keeper.
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        if self.user is not None:
            for capability in range(64):
                prctl(PR_CAPBSET_DROP, capability)
            os.setgroups([])
            os.setresgid(self.user, self.user, self.user)
            os.setresuid(self.user, self.user, self.user)
        drop_capabilities()
        os.umask(0o022)

    def shut_down(self) -> NoReturn:
        """Kill everything in the sandbox, and exit."""
        self.kill_until_gone()
        os._exit(0)

    def kill_until_gone(self) -> None:
        """Kill every process of the cell until none is left; raise `SystemExit` if that takes too long."""
        deadline = time.monotonic() + KILL_TIMEOUT_S
        while time.monotonic() < deadline:
            self.kill_all()
            reap()
            if not descendants_of(os.getpid()):
                return
            time.sleep(0.005)
        raise SystemExit("the cell's processes cannot be ended")

    def kill_all(self) -> None:
        """Send SIGKILL to all of the cell's processes, with one call where possible: a fork bomb outruns a list."""
        with contextlib.suppress(ProcessLookupError):
            if self.user is not None:
                # As the cell's user for a moment. Even so nobody inside can kill the first process of the namespace.
                os.setresuid(self.user, self.user, 0)
                try:
                    os.kill(-1, signal.SIGKILL)
                finally:
                    os.setresuid(0, 0, 0)
                    # A change of the user makes the kernel forget it: this process would survive bubblewrap.
                    prctl(PR_SET_PDEATHSIG, self.death_signal)
            elif os.getpid() == 1:
                os.kill(-1, signal.SIGKILL)
            else:
                for pid in descendants_of(os.getpid()):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)

    def had_oom_kill(self) -> bool:
        """Return whether the kernel has killed a process of this sandbox for want of memory since the last call."""
        if not self.settings["counts_oom"]:
            return False
        before, self.oom_kills = self.oom_kills, count_oom_kills()
        return self.oom_kills > before

    def do_reset(self) -> None:
        """Replace the cell's virtual environment by a fresh one, and empty its folders."""
        self.kill_until_gone()
        used = tempfile.mkdtemp(dir=self.settings["work"], prefix="used-")
        os.chmod(used, 0o1777)
        for folder in (venv_folder(self.settings), scratch_folder(self.settings), empty_folder(self.settings)):
            move_into(used, folder, own=self.user is None)
        cleared = [used, self.settings["tmp"], *(SHARED_FOLDERS if os.getpid() == 1 else ())]
        self.do_as_cell(lambda: clear_folders(cleared), REMOVE_TIMEOUT_S)
        clear_folder(used)
        with contextlib.suppress(OSError):
            os.rmdir(used)
        create_environment(self.settings)
        if not self.fill_environment():
            raise SystemExit("what is preinstalled could not be copied")
        send(self.control, {})

    def fill_environment(self) -> bool:
        """Copy what is preinstalled into the virtual environment, as the cell's user, who may then change it.

        Return whether that succeeded.
        """
        folders = self.settings["site_folders"]
        return not folders or self.do_as_cell(lambda: copy_into(site_packages(), folders), FILL_TIMEOUT_S)

    def do_as_cell(self, work: Callable[[], object], timeout_s: float) -> bool:
        """Do something as the cell's user, in a process of its own; return whether it succeeded in time."""
        pid = os.fork()
        if pid == 0:
            with exiting(1):
                self.become_cell(os.open(os.devnull, os.O_WRONLY))
                work()
                os._exit(0)
        deadline = time.monotonic() + timeout_s
        ended: dict[int, int] = {}
        while time.monotonic() < deadline and pid not in (ended := reap()):
            time.sleep(0.002)
        self.kill_until_gone()
        return ended.get(pid) == 0

    def do_isolate(self) -> None:
        """Stop forwarding to the gateway."""
        self.gateway = None
        send(self.control, {})


def send(control: socket.socket, head: dict[str, Any], output: bytes = b"") -> None:
    """Send a response to the host: a line of JSON, then the output."""
    control.sendall(json.dumps({**head, "output_bytes": len(output)}).encode() + b"\n" + output)


def main(text: str) -> None:
    """Connect to the host, preload pip, and serve. `text` is a JSON object, see `startup.Settings`."""
    settings: Settings = json.loads(text)
    control = socket.socket(socket.AF_UNIX)
    control.connect(settings["control"])
    try:
        if settings["call_filter"] is not None:
            install_call_filter(bytes.fromhex(settings["call_filter"]))
    except OSError as error:
        send(control, {"ready": False, "reason": f"the kernel refuses the filter of system calls: {error}"})
        return
    # The virtual environment belongs to the cell: nothing in it is ever imported here.
    sys.path.remove(site_packages())
    # Before pip looks at them, while it is imported.
    os.environ.update(settings["environ"], HOME=scratch_folder(settings), TMPDIR=settings["tmp"])
    preload_pip()
    gc.freeze()
    Keeper(settings, control).serve()
