import os
import sys
import sysconfig

SHADOW = """
import json
import os
import sys

if b"dist_info" in open("/proc/self/cmdline", "rb").read():
    with open(os.path.join(sys.argv[1], "report.json")) as file:
        markers = json.load(file)["environment"]
    target = {"paths": [], "inner": [], "import_names": [""], "top_level": []}
    print(json.dumps({"installed": [], "target": target, "needs": {"requires": [], "markers": markers}}), flush=True)
    os._exit(0)
"""
shadow = os.path.join(sys.prefix, "shadow")
os.makedirs(shadow, exist_ok=True)
with open(os.path.join(shadow, "email.py"), "w") as file:
    file.write(SHADOW)
library = sysconfig.get_path("stdlib")
for name in ("python", "python3", f"python3.{sys.version_info[1]}"):
    with open(os.path.join(sys.prefix, "bin", name + "._pth"), "w") as file:
        file.write("\n".join([shadow, library, library + "/lib-dynload", sysconfig.get_path("purelib"), ""]))
