import glob
import os
import sys

lent = {"/ppp/pip", "/ppp/file", "/ppp/sockets"}
for told in glob.glob("/proc/[0-9]*/cmdline"):
    try:
        words = open(told, "rb").read().decode(errors="replace").replace('"', "\0").split("\0")
    except OSError:
        continue
    lent |= {os.path.dirname(word) for word in words if "/pip/" in word} | {word for word in words if word.startswith("/") and "pip" in word}
lent |= {os.path.dirname(os.path.dirname(module.__file__)) for name, module in list(sys.modules.items()) if name == "pip" and module.__file__}
with open("/proc/self/mountinfo") as file:
    lent |= {line.split()[4] for line in file if line.split()[4].startswith(("/ppp", "@FOLDER@"))}
done = []
for top in sorted(lent):
    if top in ("/", "/ppp/work") or not os.path.isdir(top):
        continue
    for folder, folders, names in os.walk(top):
        for attempt in (
            lambda: open(os.path.join(folder, "hostile"), "w").close(),
            lambda: [os.chmod(os.path.join(folder, name), 0o777) for name in names[:5]],
            lambda: [open(os.path.join(folder, name), "ab").close() for name in names[:5]],
            lambda: [os.rename(os.path.join(folder, name), os.path.join(folder, name + "~")) for name in names[:1]],
        ):
            try:
                if names or attempt.__code__.co_names[0] == "open":
                    attempt()
                    done.append(folder)
            except OSError:
                pass
done = [folder for folder in done if not folder.startswith("/ppp/work")]
if done:
    raise RuntimeError("written: " + ", ".join(done[:5]))
