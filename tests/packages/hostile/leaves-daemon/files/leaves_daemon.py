import os
import signal
import time

if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.chdir("/")
        for number in range(1, 65):
            try:
                signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError):
                pass
        while True:
            try:
                os.write(1, b".")
            except OSError:
                pass
            time.sleep(0.05)
    os._exit(0)
os.wait()
