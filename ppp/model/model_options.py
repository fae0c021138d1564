"""How a language model is run: what the user may choose of it."""

from dataclasses import dataclass
from typing import Final

#: A script that is longer is written in parts, so a longer context would mostly cost memory.
DEFAULT_CONTEXT_TOKENS: Final = 4096
#: With less, one sentence and what stands before it might not fit.
MIN_CONTEXT_TOKENS: Final = 512
MAX_CONTEXT_TOKENS: Final = 131_072
#: Half an hour: the schedule has 150 minutes between writing an episode and publishing it.
DEFAULT_SECONDS: Final = 1800
MAX_SECONDS: Final = 86_400
#: Python and llama.cpp alone need about 150 MiB.
MIN_MEMORY_MIB: Final = 256
MAX_MEMORY_MIB: Final = 1_000_000
MAX_THREADS: Final = 256
#: The part of the available memory that a model gets where no setting says how much.
MEMORY_SHARE: Final = 0.75
MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """Options of a language model's process.

    `context_tokens` is how many tokens prompt and text may have together; `seconds` is the limit of its time,
    `memory_mib` that of its memory, None for three quarters of what is available when it starts. `threads` is None for
    one on each processor.
    """

    threads: int | None = None
    context_tokens: int = DEFAULT_CONTEXT_TOKENS
    seconds: float = DEFAULT_SECONDS
    memory_mib: int | None = None

    def memory_limit(self, available_bytes: int) -> int:
        """Return how many MiB of memory it gets where so many bytes are available."""
        return self.memory_mib or int(available_bytes * MEMORY_SHARE / MIB)


def memory_problem(file_bytes: int, limit_mib: int) -> str:
    """Return why a model's file does not fit a limit of memory, or an empty text if it does.

    llama.cpp would map the file and read it from the disk again for every token, until the time is over.
    """
    size_mib = -(-file_bytes // MIB)
    if size_mib <= limit_mib:
        return ""
    return (
        f"its file of {size_mib:,} MiB does not fit its memory of {limit_mib:,} MiB (PPP_MODEL_MEMORY_MIB, or three"
        " quarters of what is available)"
    )
