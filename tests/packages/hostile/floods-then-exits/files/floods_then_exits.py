import os
import sys

for _ in range(200):
    os.write(1, b"PASS\n" * 10_000)
sys.exit(0)
