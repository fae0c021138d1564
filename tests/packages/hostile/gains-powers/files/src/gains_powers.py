import ctypes
import os
import shutil
import stat
import subprocess
import tempfile

libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x20000, 0x10000000, 0x20000000, 0x40000000
PTRACE_SEIZE = 0x4206


def status(name):
    with open("/proc/self/status") as file:
        return next((line.split()[1] for line in file if line.startswith(name + ":")), None)


def within_child(attempt):
    """Say whether it succeeds in a process that can be given up."""
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(0 if attempt() else 1)
        except BaseException:
            os._exit(1)
    return os.waitpid(pid, 0)[1] == 0


def sets_user():
    os.setuid(0)
    return True


def unshares(flags):
    return lambda: libc.unshare(flags) == 0


def mounts():
    return libc.mount(b"none", tempfile.mkdtemp().encode(), b"tmpfs", 0, None) == 0


def changes_root():
    os.chroot("/tmp")
    return True


def makes_device():
    os.mknod(os.path.join(tempfile.mkdtemp(), "device"), stat.S_IFBLK | 0o600, os.makedev(8, 0))
    return True


def writes(path):
    def attempt():
        os.close(os.open(path, os.O_WRONLY))
        return True

    return attempt


def own_shell():
    shell = os.path.join(tempfile.mkdtemp(), "sh")
    shutil.copy(os.path.realpath("/bin/sh"), shell)
    os.chmod(shell, 0o6755)
    told = subprocess.run([shell, "-p", "-c", "id -u"], capture_output=True, text=True)
    return told.stdout.strip() not in ("", str(os.getuid()))


def others():
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]


def looks_into(pid):
    def attempt():
        with open(f"/proc/{pid}/mem", "rb"):
            return True

    return attempt


def traces(pid):
    return lambda: libc.ptrace(PTRACE_SEIZE, pid, None, None) == 0


def lends_descriptors(pid):
    return lambda: bool(os.listdir(f"/proc/{pid}/fd"))


def gained():
    if int(status("CapEff"), 16) or int(status("CapPrm"), 16):
        yield "capabilities"
    if status("NoNewPrivs") != "1":
        yield "new privileges"
    attempts = {
        "a new mount namespace": unshares(CLONE_NEWNS),
        "a new user namespace": unshares(CLONE_NEWUSER),
        "new namespaces": unshares(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET),
        "a mount": mounts,
        "another root": changes_root,
        "a device": makes_device,
        "a setuid shell": own_shell,
    }
    if os.getuid() != 0:
        attempts["root"] = sets_user
    for path in (
        "/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/dev/mem", "/dev/kmsg",
        "/sys/kernel/uevent_helper", "/sys/fs/cgroup/pids/pids.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/release_agent", "/sys/fs/cgroup/memory.max", "/etc/passwd", "/bin/sh",
    ):
        attempts["to write to " + path] = writes(path)
    for pid in others():
        attempts[f"the memory of {pid}"] = looks_into(pid)
        attempts[f"to trace {pid}"] = traces(pid)
        attempts[f"the descriptors of {pid}"] = lends_descriptors(pid)
    yield from (name for name, attempt in attempts.items() if within_child(attempt))


if found := sorted(gained()):
    raise RuntimeError("gained: " + ", ".join(found))
