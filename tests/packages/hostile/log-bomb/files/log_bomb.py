import os

os.fork()
os.fork()
while True:
    os.write(1, b"\0\xff\x1b[31mx" * 8000)
