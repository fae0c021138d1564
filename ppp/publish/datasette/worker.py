"""The process that serves Datasette: `python -m ppp.publish.datasette.worker FOLDER SOCKET PARENT PER_ADDRESS`.

SOCKET is the number of an open listening socket, PARENT that of the reading end of a pipe: where the process at its
other end is gone, however it ended, this one ends too. PER_ADDRESS is the limit of connections of one client address.
"""

import asyncio
import importlib
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ppp.client_limits import ClientLimits
from ppp.web_server import STOP_GRACE_S, run_server

#: A query's memory is limited by the plugin; this is the limit of everything, beyond which allocations fail.
MAX_DATA_BYTES: Final = 1536 * 1024 * 1024


def main(arguments: Sequence[str]) -> None:
    """Serve the folder that `prepare` wrote until a signal, or the end of the parent process."""
    folder, listening, parent, per_address = arguments
    threading.Thread(target=_end_with, args=(int(parent),), name="parent watch", daemon=True).start()
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_DATA_BYTES, MAX_DATA_BYTES))
    # For each error, Datasette would draw a traceback with all variables, which takes longer than most queries.
    sys.modules["rich"] = None  # type: ignore[assignment]
    datasette = importlib.import_module("datasette.app").Datasette([], config_dir=Path(folder))
    asyncio.run(datasette.invoke_startup())
    with socket.socket(fileno=int(listening)) as opened:
        run_server(datasette.app(), opened, limits=ClientLimits(per_address=int(per_address)))


def _end_with(parent: int) -> None:
    os.read(parent, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(2 * STOP_GRACE_S)
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
