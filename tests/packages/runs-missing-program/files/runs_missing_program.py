import subprocess

subprocess.run(["ppp-missing-program", "--version"], check=True)
