"""The whole of `bench run` on XQuAD-R: from nothing, and again with its vectors in the store.

    python -m tests.speed.whole_run --model ../models/multilingual-e5-small --dtype bfloat16

The first run is shown beside the time that the texts took to encode, which its evidence tells.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.speed.common import arguments, show


def main() -> None:
    """Run the command in an empty cache, then a few times into empty results folders."""
    asked = arguments(__doc__ or "", times=3)
    rows = []
    with tempfile.TemporaryDirectory() as cache:
        for number in range(asked.times + 1):
            took, memory, cost = whole(asked, cache)
            title = f"again {number}" if number else "from nothing"
            ratio = f"{took / cost['encode_seconds']:.3f}" if cost["encode_seconds"] else ""
            encoded = f"{cost['encode_seconds']:.1f}"
            rows.append([title, f"{took:.1f}", encoded, ratio, f"{cost['rank_seconds']:.1f}", f"{memory:,.0f}"])
    columns = ["", "seconds", "of them encoding", "whole / encoding", "ranking", "peak MiB"]
    show(f"bench run --model {asked.model} --task xquad-r --dtype {asked.dtype}", columns, rows)


def whole(asked: Any, cache: str) -> tuple[float, float, dict[str, float]]:
    """Return the seconds of one run, its peak memory in MiB, and what its evidence says of its cost."""
    with tempfile.TemporaryDirectory() as results:
        command = ["run", "--model", asked.model, "--task", "xquad-r", "--results", results, "--dtype", asked.dtype]
        command += ["--mirror", asked.mirror] if asked.mirror else []
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmark.cli", *command],
            stdout=subprocess.DEVNULL,
            env=os.environ | {"ISOGLOSS_CACHE": cache},
        )
        _, status, usage = os.wait4(process.pid, 0)
        took = time.perf_counter() - start
        if status:
            raise SystemExit("bench run failed")
        (evidence,) = Path(results).glob("*/xquad-r/evidence.json")
        return took, usage.ru_maxrss / 1024, json.loads(evidence.read_text(encoding="utf-8"))["cost"]


if __name__ == "__main__":
    main()
