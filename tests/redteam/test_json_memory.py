"""JSON from a peer that is small as bytes, smaller as gzip, and large in memory: millions of empty values."""

import subprocess
import sys
from typing import Final

import pytest

from ppp.mesh.batch import MAX_BATCH_BYTES
from ppp.mesh.untrusted import MAX_VALUES

#: What the process may use at most, in MiB: without a limit on values it is twice as much.
MAX_MEMORY_MIB: Final = 900
PROGRAM: Final = """
import resource, sys
from ppp.mesh.untrusted import parse_json
from ppp.model.errors import RejectedDataError
unit, size = sys.argv[1].encode(), int(sys.argv[2])
data = b'{"a":[' + unit * ((size - 20) // len(unit)) + b"1]}"
try:
    parse_json(data, what="a document", max_bytes=size)
except RejectedDataError as error:
    print(error.message)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize("unit", ["{},", "[],", "1,", '"",', '"\\\\",', '{"a":1},', '{"":""},'])
def test_millions_of_values_cost_little_memory(unit: str) -> None:
    command = [sys.executable, "-c", PROGRAM, unit, str(MAX_BATCH_BYTES)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    reason, used_mib = done.stdout.splitlines()
    assert f"it has more than {MAX_VALUES:,} values" in reason
    assert int(used_mib) < MAX_MEMORY_MIB
