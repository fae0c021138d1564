"""Ask the kernel how much memory this process may use."""

import re
from pathlib import Path


def machine_memory(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> tuple[int, int]:
    """Return the memory of this machine in bytes, and what is available of it.

    Where this process's control group has a limit that is less, it is both.
    """
    rows = dict(re.findall(r"^(\w+): +(\d+) kB$", (proc / "meminfo").read_text("ascii"), re.MULTILINE))
    total, available = (int(rows[name]) * 1024 for name in ("MemTotal", "MemAvailable"))
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            limit = int((cgroups / name).read_text("ascii"))
        except (OSError, ValueError):
            # The other version of cgroups, or no limit (the file says `max`).
            continue
        total, available = min(total, limit), min(available, limit)
    return total, available
