"""Measure a language model's speed: tokens per second of a prompt and of generation, by the shape of the model.

The weights are random: what is said depends on them, the time on their number and form alone. A model of 7 billion
weights in 4.5 bits each is a file of 3.8 GB; a small one is measured in the same run, so that the figures of two
machines can be compared. Each runs in a process of its own, and its file is removed afterwards. A real model also
writes the newest night of the ledger in this repository.

    scripts/nox -s bench -- model [--shapes small,7b] [--prompt 128] [--generate 16] [--threads N] [--file MODEL.gguf]
"""

import argparse
import importlib.util
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from gguf_models import ModelShape, write_model

from ppp.ledger.schema import read_ledger
from ppp.machine_memory import machine_memory
from ppp.narrate.facts import gather_facts, resolve_period
from ppp.narrate.llama_model import LlamaModel
from ppp.narrate.model import TEMPERATURE, ChoiceRequest, compose

GB: Final = 1_000_000_000
LEDGER_FOLDER: Final = Path(__file__).parents[2] / "data"
SHAPES: Final = {
    "small": ModelShape(
        width=1024, inner=2816, heads=16, kv_heads=4, layers=16, vocabulary=32_000, context_tokens=4096
    ),
    "7b": ModelShape(
        width=4096, inner=11_008, heads=32, kv_heads=32, layers=32, vocabulary=32_000, context_tokens=4096
    ),
}
#: Besides the weights: llama.cpp's cache of 4,096 tokens, which is 2 GB for a model of 7B, and its buffers.
MEMORY_BESIDE: Final = 3 * GB
DISK_BESIDE: Final = 1 * GB


def lacks(shape: ModelShape, folder: Path) -> str:
    """Return what is missing on this machine to measure a shape; empty if it fits."""
    # The weights are mapped, and copied once more in an order that suits the processor.
    memory, free_memory = 2 * shape.file_bytes + MEMORY_BESIDE, machine_memory()[1]
    disk, free_disk = shape.file_bytes + DISK_BESIDE, shutil.disk_usage(folder).free
    if memory > free_memory:
        return f"it needs {memory / GB:.1f} GB of memory, and {free_memory / GB:.1f} are available"
    if disk > free_disk:
        return f"it needs {disk / GB:.1f} GB in {folder}, and {free_disk / GB:.1f} are free"
    return ""


def measure(path: str, *, prompt: int, generate: int, threads: int | None) -> dict[str, float]:
    """Return the seconds of loading, tokens per second of a prompt and of generation, and the memory, in bytes.

    Each rate also by the seconds of all processors: with one thread, other work on the machine hardly changes these.
    """
    started = time.monotonic()
    model = LlamaModel(path, threads=threads)
    loaded_s = time.monotonic() - started
    tokens = model.tokenize("x" * (2 * prompt))[:prompt]
    # The first evaluation also allocates, and brings the file into memory.
    model.logits(tokens[:4], [0])
    marks = [(time.monotonic(), time.process_time())]
    model.logits(tokens, [0])
    marks.append((time.monotonic(), time.process_time()))
    for number in range(generate):
        tokens.append(300 + number)
        model.logits(tokens, [0])
    marks.append((time.monotonic(), time.process_time()))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "load_s": loaded_s,
        "prompt_rate": (prompt - 4) / (marks[1][0] - marks[0][0]),
        "prompt_cpu_rate": (prompt - 4) / (marks[1][1] - marks[0][1]),
        "generation_rate": generate / (marks[2][0] - marks[1][0]),
        "generation_cpu_rate": generate / (marks[2][1] - marks[1][1]),
        "peak_bytes": peak,
    }


def measured(path: Path, options: argparse.Namespace) -> dict[str, float]:
    """Measure a model in a process of its own."""
    words = [f"--prompt={options.prompt}", f"--generate={options.generate}", f"--only={path}"]
    words += [f"--threads={options.threads}"] if options.threads else []
    done = subprocess.run([sys.executable, __file__, *words], stdout=subprocess.PIPE, check=True)
    return dict(json.loads(done.stdout))


def written(path: Path, threads: int | None) -> str:
    """Return how many tokens a model evaluates, and in how many seconds, to write the newest night of our ledger."""
    with closing(read_ledger(LEDGER_FOLDER)) as db:
        stories = gather_facts(db, resolve_period(db, None)).stories
    model = LlamaModel(str(path), threads=threads)
    request = ChoiceRequest(model=str(path), seed=0, temperature=TEMPERATURE, stories=stories, threads=threads)
    said = len(compose(model, request))
    return f"an episode of {said} sentences: {model.evaluated:,} tokens are evaluated in {model.seconds:.1f} s"


def report(name: str, size: int, figures: dict[str, float]) -> str:
    """Return a line of the table."""
    return (
        f"{name:<8} {size / GB:>8.2f} {figures['load_s']:>7.1f}"
        f" {figures['prompt_rate']:>11.1f} {figures['prompt_cpu_rate']:>11.1f}"
        f" {figures['generation_rate']:>13.2f} {figures['generation_cpu_rate']:>13.2f}"
        f" {figures['peak_bytes'] / GB:>10.1f}"
    )


def main(arguments: Sequence[str]) -> None:
    """Measure the shapes that fit this machine, and a file if one is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", default=",".join(SHAPES), help="which shapes to measure")
    parser.add_argument("--prompt", type=int, default=128, help="how many tokens the prompt has")
    parser.add_argument("--generate", type=int, default=16, help="how many tokens are generated")
    parser.add_argument("--threads", type=int, help="default: one for each processor")
    parser.add_argument("--file", type=Path, help="also measure this model")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.only:
        figures = measure(options.only, prompt=options.prompt, generate=options.generate, threads=options.threads)
        print(json.dumps(figures))
        return
    if not importlib.util.find_spec("llama_cpp"):
        print(
            "left out: llama-cpp-python is not installed; PPP_REQUIRE=voice scripts/nox -s bench -- model installs it"
        )
        return
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} processors ({os.uname().machine}), load {load:.1f} at the beginning")
    print(f"{'':<8} {'file':>8} {'load':>7} {'prompt tokens per':>23} {'generated tokens per':>27} {'memory':>10}")
    print(f"{'shape':<8} {'GB':>8} {'s':>7} {'s':>11} {'cpu s':>11} {'s':>13} {'cpu s':>13} {'GB':>10}")
    with TemporaryDirectory() as name:
        for shape in filter(None, options.shapes.split(",")):
            path = Path(name) / f"{shape}.gguf"
            if missing := lacks(SHAPES[shape], path.parent):
                print(f"{shape:<8} left out: {missing}")
                continue
            write_model(path, SHAPES[shape])
            print(report(shape, path.stat().st_size, measured(path, options)), flush=True)
            path.unlink()
    if options.file:
        print(report("file", options.file.stat().st_size, measured(options.file, options)))
        print(written(options.file, options.threads))


if __name__ == "__main__":
    main(sys.argv[1:])
