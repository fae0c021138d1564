import subprocess
import sys

try:
    subprocess.run(["gcc", "--version"], check=True)
except FileNotFoundError as error:
    sys.exit(f"error: command 'gcc' failed: {error.strerror}")
