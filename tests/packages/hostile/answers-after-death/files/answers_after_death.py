import os
import signal
import time

first = os.getpid()
if os.fork() != 0:
    os.kill(first, signal.SIGKILL)
os.setsid()
while os.path.exists(f"/proc/{first}"):
    time.sleep(0.001)
