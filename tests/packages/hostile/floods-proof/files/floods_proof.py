import os

for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        while True:
            for number in range(3, 20):
                try:
                    os.set_blocking(number, False)
                    os.write(number, b"imported")
                except OSError:
                    pass
os._exit(0)
