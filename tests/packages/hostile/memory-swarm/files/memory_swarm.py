import os
import time

for _ in range(50):
    if os.fork() == 0:
        for likely in ("-1000", "0"):
            try:
                with open("/proc/self/oom_score_adj", "w") as file:
                    file.write(likely)
                break
            except OSError:
                pass
        held = bytearray(os.urandom(1_000_000) * 15)
        time.sleep(30)
        os._exit(len(held) & 1)
time.sleep(30)
