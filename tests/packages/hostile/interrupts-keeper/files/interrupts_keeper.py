import os
import signal
import time

for _ in range(4):
    if os.fork() == 0:
        os.setsid()
        while True:
            try:
                os.kill(1, signal.SIGINT)
            except OSError:
                pass
time.sleep(0.3)
