import itertools
import os
import tempfile

for _ in range(2):
    os.fork()
folder = tempfile.mkdtemp()
for number in itertools.count():
    os.mknod(f"{folder}/{number}")
