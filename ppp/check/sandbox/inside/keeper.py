"""Keeps a cell: the first process of its sandbox, which starts all that runs there and tells how it ended.

What it starts is another user's where the sandbox lets it change users; as the first process of a namespace it cannot
be killed from within either. It holds pip ready, and forks for each use of it.
"""

import contextlib
import gc
import importlib
import importlib.machinery
import json
import os
import resource
import select
import signal
import socket
import sys
import tempfile
import time

from .forwarder import Forwarder
from .hearing import Output, Proof
from .installed import told
from .processes import (
    PR_CAPBSET_DROP,
    PR_SET_CHILD_SUBREAPER,
    PR_SET_DUMPABLE,
    PR_SET_NO_NEW_PRIVS,
    drop_capabilities,
    leaving,
    oom_kills,
    prctl,
    reap,
    stemming_from,
)
from .removing import clear, set_aside
from .starting import empty, environment, lay_out, own_python, scratch

#: How long what was killed may take to be gone.
END_S = 10
#: How long the cell's own files may take to be removed.
REMOVE_S = 60
#: Where a cell in a namespace of its own can leave something beside its folders.
SHARED = ("/dev/shm", "/dev/mqueue")  # noqa: S108 - inside
#: What is told of an installation, in bytes, at most.
LOOK_BYTES = 64 * 1024 * 1024
#: What of pip is loaded before it is used.
WARMED = ("cli.main", "commands.check", "commands.install", "operations.check", "resolution.resolvelib.resolver")


class Keeper:
    """Does what the host asks, one thing at a time."""

    def __init__(self, settings, control):
        self.settings = settings
        self.control = control
        self.user = settings["user"]
        self.gateway = settings["gateway"]
        self.oom_kills = oom_kills() if settings["counts_oom"] else 0
        # Woken when a child ends: poll() alone would not see it.
        self.woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        if os.getpid() != 1:
            # The first process of a namespace hears no signal from within that it does not ask for.
            signal.signal(signal.SIGTERM, lambda *_: self.hang_up())
        if self.user is None:
            prctl(PR_SET_CHILD_SUBREAPER, 1)
            # Nothing of the same user may look into this process or write to it.
            prctl(PR_SET_DUMPABLE, 0)

    def serve(self):
        """Answer until the host hangs up."""
        requests = self.control.makefile("rb")
        self.answer({"ready": True})
        for line in requests:
            request = json.loads(line)
            getattr(self, "do_" + request.pop("do"))(**request)
        self.end_all()

    def answer(self, head, output=b""):
        """Say how it went: a line of JSON, then the output."""
        self.control.sendall(json.dumps({**head, "output_bytes": len(output)}).encode() + b"\n" + output)

    def do_run(self, argv, cwd, timeout_s):
        """Run a program."""

        def start():
            os.chdir(cwd or scratch(self.settings))
            os.execvp(argv[0], argv)

        self.attend(start, timeout_s)

    def do_prove(self, program, module, timeout_s):
        """Import a module in a fresh interpreter, in an empty folder, and have it proved."""
        # By a name that nobody can have taken before.
        proof = Proof(os.path.join(self.settings["work"], "proof-" + os.urandom(4).hex()))
        python = own_python(self.settings)

        def start():
            os.chdir(empty(self.settings))
            os.execv(python, [python, "-I", "-B", "-S", "-c", program, module, proof.path])

        self.attend(start, timeout_s, proof=proof)

    def do_look(self, package, timeout_s):
        """Tell what was installed. It is read as the cell's user, by this interpreter, and is as long as it is."""

        def start():
            json.dump(told(scratch(self.settings), site_packages(), package), sys.stdout)

        self.attend(start, timeout_s, most_bytes=LOOK_BYTES)

    def do_pip(self, argv, timeout_s):
        """Run pip in the virtual environment."""
        forwarder = Forwarder(self.gateway, self.settings["port"]) if self.gateway else None

        def start():
            from pip._internal.cli.main import main

            os.chdir(scratch(self.settings))
            # The pip at work is not installed here: a package that wants one gets one.
            sys.path.remove(self.settings["pip"])
            see_installed()
            sys.stdout.reconfigure(line_buffering=True)
            sys.argv = ["pip", *argv]
            return main(argv)

        self.attend(start, timeout_s, forwarder=forwarder)

    def attend(self, start, timeout_s, proof=None, forwarder=None, most_bytes=None):
        """Start something in a process of its own, wait for it, end whatever it left, and tell."""
        output = Output(most_bytes or self.settings["log_bytes"])
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        begun = time.monotonic()
        pid = os.fork()
        if pid == 0:
            with leaving(125):
                self.become_cell(writing)
                sys.exit(start() or 0)
        os.close(writing)
        status = self.wait(pid, reading, output, proof, begun + timeout_s)
        took_ms = round((time.monotonic() - begun) * 1000)
        if forwarder:
            forwarder.end()
        self.end_all()
        output.take_rest(reading)
        os.close(reading)
        if proof:
            # What was answered last may not be heard yet.
            proof.hear()
        answer = {
            "exit_code": None if status is None else os.waitstatus_to_exitcode(status),
            "duration_ms": took_ms,
            "oom": self.ran_out_of_memory(),
            "proved": proof is not None and proof.given,
            "received_bytes": forwarder.read(forwarder.RECEIVED) if forwarder else 0,
            "waited_ms": forwarder.read(forwarder.WAITED_US) // 1000 if forwarder else 0,
        }
        if proof:
            proof.close()
        self.answer(answer, output.data())

    def wait(self, pid, reading, output, proof, deadline):
        """Wait for a process, and hear meanwhile what it says; give its status, None where its time was up."""
        poll = select.poll()
        poll.register(reading, select.POLLIN)
        poll.register(self.woken, select.POLLIN)
        poll.register(self.control, 0)
        if proof:
            poll.register(proof.listening, select.POLLIN)
        while (left_s := deadline - time.monotonic()) > 0:
            for descriptor, event in poll.poll(left_s * 1000):
                if descriptor == reading and not output.take(reading):
                    poll.unregister(reading)
                elif descriptor == self.woken:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self.woken, 4096)
                elif descriptor == self.control.fileno() and event & (select.POLLHUP | select.POLLERR):
                    self.hang_up()
                elif proof and descriptor == proof.listening.fileno():
                    proof.admit(pid)
            if pid in (ended := reap()):
                return ended[pid]
        return None

    def become_cell(self, writing):
        """Become what runs package code: nobody with nothing, whose output goes to one pipe."""
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
            most = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(limit, (most, most))
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

    def hang_up(self):
        """End everything, and this process."""
        self.end_all()
        os._exit(0)

    def end_all(self):
        """End every process of the cell, however it tries to live on."""
        deadline = time.monotonic() + END_S
        while time.monotonic() < deadline:
            self.kill_all()
            reap()
            if not stemming_from(os.getpid()):
                return
            time.sleep(0.005)
        raise SystemExit("what ran in the cell cannot be ended")

    def kill_all(self):
        """Send SIGKILL to all of the cell's processes, at one stroke where that can be: a fork bomb outruns a list."""
        with contextlib.suppress(ProcessLookupError):
            if self.user is not None:
                # For a moment as the cell's user: the first process of a namespace no one within can kill even so.
                os.setresuid(self.user, self.user, 0)
                try:
                    os.kill(-1, signal.SIGKILL)
                finally:
                    os.setresuid(0, 0, 0)
            elif os.getpid() == 1:
                os.kill(-1, signal.SIGKILL)
            else:
                for pid in stemming_from(os.getpid()):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)

    def ran_out_of_memory(self):
        """Say whether the kernel has ended a process of this sandbox for want of memory since this was last asked."""
        if not self.settings["counts_oom"]:
            return False
        before, self.oom_kills = self.oom_kills, oom_kills()
        return self.oom_kills > before

    def do_renew(self):
        """Give the cell a fresh virtual environment and empty folders."""
        self.end_all()
        used = tempfile.mkdtemp(dir=self.settings["work"], prefix="used-")
        os.chmod(used, 0o1777)
        for folder in (environment(self.settings), scratch(self.settings), empty(self.settings)):
            set_aside(folder, used, ours=self.user is None)
        self.clear_as_cell([used, self.settings["tmp"], *(SHARED if os.getpid() == 1 else ())])
        clear(used)
        with contextlib.suppress(OSError):
            os.rmdir(used)
        lay_out(self.settings)
        self.answer({})

    def clear_as_cell(self, folders):
        """Remove what belongs to the cell's user, as that user."""
        pid = os.fork()
        if pid == 0:
            with leaving(1):
                self.become_cell(os.open(os.devnull, os.O_WRONLY))
                for folder in folders:
                    clear(folder)
                os._exit(0)
        deadline = time.monotonic() + REMOVE_S
        while time.monotonic() < deadline and pid not in reap():
            time.sleep(0.002)
        self.end_all()

    def do_isolate(self):
        """Lead to the gateway no more."""
        self.gateway = None
        self.answer({})


def site_packages():
    """Give where this virtual environment's packages go."""
    return os.path.join(sys.prefix, "lib", "python%d.%d" % sys.version_info[:2], "site-packages")


class Blind(importlib.machinery.FileFinder):
    """Finds no module in a folder, in which distributions are found all the same."""

    def find_spec(self, *_):
        """Find nothing."""


def see_installed():
    """Let pip see what is installed, as an interpreter that was started now would, and load nothing of it."""
    sys.path.append(site_packages())
    sys.path_importer_cache[site_packages()] = Blind(site_packages())
    # Before Python 3.11 pip has read what is installed once and for all when it was loaded.
    if loaded := sys.modules.get("pip._vendor.pkg_resources"):
        loaded.working_set.add_entry(site_packages())


def warm_pip():
    """Load what every use of pip needs, and let it find out what it would find out anew each time."""
    for name in WARMED:
        importlib.import_module("pip._internal." + name)
    from pip._internal.network.session import user_agent
    from pip._internal.utils.compatibility_tags import get_supported

    user_agent()
    get_supported()


def main(text):
    """Hold pip ready, and serve by the settings that `text` holds."""
    settings = json.loads(text)
    # What lies in the virtual environment is the cell's: nothing of it is ever loaded here.
    sys.path.remove(site_packages())
    # Before pip looks where it is.
    os.environ.update(settings["environ"], HOME=scratch(settings), TMPDIR=settings["tmp"])
    warm_pip()
    gc.freeze()
    control = socket.socket(socket.AF_UNIX)
    control.connect(settings["control"])
    Keeper(settings, control).serve()
