import glob
import os
import time

# A file and a variable of the machine that no cell may see. Its name is put together, so that it is not found here.
PATH = "@CANARY@"
NAME = os.path.basename(PATH)
VARIABLE = "_".join(("PPP", "HOSTILE", "CANARY"))


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read(1 << 20)
    except OSError:
        return b""


def seen():
    if VARIABLE in os.environ:
        yield "the variable"
    if read(PATH):
        yield "the file"
    for process in glob.glob("/proc/[0-9]*"):
        if VARIABLE.encode() in read(process + "/environ"):
            yield "the variable of another process"
        for way in ("root" + PATH, "cwd/" + NAME):
            if read(f"{process}/{way}"):
                yield "the file by way of /proc"
    if read("/etc/shadow"):
        yield "/etc/shadow"
    until = time.monotonic() + 2
    for folder, folders, names in os.walk("/"):
        folders[:] = [name for name in folders if os.path.join(folder, name) not in ("/proc", "/sys")]
        if NAME in names:
            yield "the file by looking for it"
        if time.monotonic() > until:
            break


if found := sorted(set(seen())):
    raise RuntimeError("seen: " + ", ".join(found))
