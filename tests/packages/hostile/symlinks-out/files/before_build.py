import os
import sys

place = os.path.join(sys.prefix, f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages")
for name, target in {"symlinks_out": "/etc", "symlinks_out-1.0.dist-info": "/tmp", "link-to-root": "/", "loop": "loop"}.items():
    try:
        os.symlink(target, os.path.join(place, name))
    except OSError:
        pass
