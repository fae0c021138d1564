"""One writer at a time: an advisory lock file beside the ledger. The kernel releases it when its process ends."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ppp.model.errors import LedgerBusyError
from ppp.storage_errors import translate_storage_errors

LOCK_NAME: Final = ".lock"
#: How often a lock that another process holds is tried.
POLL_S: Final = 0.05


@contextmanager
def writer_lock(data: Path, *, wait_s: float = 0.0) -> Iterator[None]:
    """Lock the data folder; raise `LedgerBusyError`, which names the other process, if it stays locked for `wait_s`."""
    path = data / LOCK_NAME
    with translate_storage_errors(path):
        data.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        deadline = time.monotonic() + wait_s
        while not _try_lock(handle, path):
            if time.monotonic() >= deadline:
                holder = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
                raise LedgerBusyError(
                    f"another PPP (process {holder}) is writing {data}",
                    hint="wait for it, or name another folder with --data",
                )
            time.sleep(POLL_S)
        with translate_storage_errors(path):
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


def _try_lock(handle: int, path: Path) -> bool:
    try:
        with translate_storage_errors(path):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
