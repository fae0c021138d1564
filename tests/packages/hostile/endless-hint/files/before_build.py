import os
import sys

place = os.path.join(sys.prefix, f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages")
own = os.path.join(place, "endless_hint-1.0.dist-info")
os.makedirs(own, exist_ok=True)
os.symlink("/dev/zero", os.path.join(own, "top_level.txt"))
