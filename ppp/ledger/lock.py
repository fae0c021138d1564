"""One writer at a time: an advisory lock file beside the ledger. The kernel releases it when its process ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ppp.model.errors import LedgerBusyError
from ppp.storage_errors import translate_storage_errors

LOCK_NAME: Final = ".lock"


@contextmanager
def writer_lock(data: Path) -> Iterator[None]:
    """Lock the data folder; raise `LedgerBusyError`, which names the other process, if it is locked already."""
    path = data / LOCK_NAME
    with translate_storage_errors(path):
        data.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(handle, 32).decode(errors="replace").strip() or "unknown"
            raise LedgerBusyError(
                f"another PPP (process {holder}) is writing {data}",
                hint="wait for it, or name another folder with --data",
            ) from error
        with translate_storage_errors(path):
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)
