import contextlib
import glob
import os
import signal
import sys

place = os.path.join(sys.prefix, f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages")
born = os.stat(place).st_ino
names = set()
for path in glob.glob("/proc/[0-9]*/comm"):
    with contextlib.suppress(OSError), open(path) as file:
        names.add(file.read().strip())
# By the number of its folder a phase is told from the one before; what this phase's own first step left is no wonder.
if any(name.startswith("waits") and name != f"waits{born}"[:15] for name in names):
    raise RuntimeError("what the first build left is still there")
if os.fork() == 0:
    os.setsid()
    with open("/proc/self/comm", "w") as file:
        file.write(f"waits{born}"[:15])
    # Else pip would wait for what it may still say.
    for number in (0, 1, 2):
        os.dup2(os.open(os.devnull, os.O_RDWR), number)
    for number in range(1, 65):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    if os.fork() == 0:
        while True:
            try:
                if os.stat(place).st_ino != born:
                    for name in ("waits_for_next_phase.py", "bystander_base.py", "aaa.pth"):
                        with open(os.path.join(place, name), "w") as file:
                            file.write("import sys; sys.exit('spoiled by the phase before')\n")
            except OSError:
                pass
    os._exit(0)
os.wait()
