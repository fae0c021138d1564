import os
import tempfile

begun_in = os.getcwd()
for place in (os.environ["HOME"], tempfile.gettempdir()):
    os.chdir(place)
    for _ in range(3000):
        try:
            os.mkdir("d")
            os.chdir("d")
        except OSError:
            break
os.chdir(begun_in)
