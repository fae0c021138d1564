import json
import os
import shutil
import sys

place = os.path.join(sys.prefix, f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages")
own = os.path.join(place, "installs_itself-1.0.dist-info")
os.makedirs(own, exist_ok=True)
for name, text in {
    os.path.join(own, "METADATA"): "Metadata-Version: 2.1\nName: installs-itself\nVersion: 1.0\n",
    os.path.join(own, "RECORD"): "installs_itself.py,,\n",
    os.path.join(place, "_manylinux.py"): "import os\n\nos._exit(0)\n",
    os.path.join(os.environ["HOME"], "report.json"): json.dumps({"install": [], "environment": {}}),
}.items():
    with open(name, "w") as file:
        file.write(text)
shutil.copy("src/installs_itself.py", place)
