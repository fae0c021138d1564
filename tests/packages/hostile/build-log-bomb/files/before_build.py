import os

while True:
    os.write(1, b"hostile " * 8000 + b"\n")
