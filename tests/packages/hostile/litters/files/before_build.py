import os
import socket
import sys
import tempfile

places = ["/dev/shm", os.environ["HOME"], tempfile.gettempdir(), sys.prefix, "/ppp/work", "/ppp/work/empty", "/ppp"]
for folder, _, _ in os.walk("/ppp/work"):
    places.append(folder)
for place in dict.fromkeys(places):
    for attempt in (
        lambda: os.mkdir(os.path.join(place, "closed")),
        lambda: open(os.path.join(place, "closed", "file"), "w").close(),
        lambda: os.mkfifo(os.path.join(place, "closed", "pipe")),
        lambda: os.symlink("/", os.path.join(place, "closed", "root")),
        lambda: open(os.path.join(place.encode(), b"\xff\n\x1b[31m"), "w").close(),
        lambda: os.chmod(os.path.join(place, "closed"), 0),
    ):
        try:
            attempt()
        except OSError:
            pass
