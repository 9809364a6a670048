"""The whole of a second `bench run` on XQuAD-R, its vectors in the store: seconds and peak memory of the process.

python -m tests.speed.second_run --model ../models/multilingual-e5-small
"""

import os
import subprocess
import sys
import tempfile
import time

from tests.speed.common import arguments, show


def main() -> None:
    """Run the command once to fill the store, then a few times into empty results folders."""
    asked = arguments(__doc__ or "", times=3)
    rows = []
    for number in range(asked.times + 1):
        with tempfile.TemporaryDirectory() as results:
            command = ["run", "--model", asked.model, "--task", "xquad-r", "--results", results]
            mirror = ["--mirror", asked.mirror] if asked.mirror else []
            start = time.perf_counter()
            process = subprocess.Popen(
                [sys.executable, "-m", "benchmark.cli", *command, *mirror], stdout=subprocess.DEVNULL
            )
            _, status, usage = os.wait4(process.pid, 0)
            took = time.perf_counter() - start
            if status:
                raise SystemExit("bench run failed")
        title = f"run {number}" if number else "fills the store, if it must"
        rows.append([title, f"{took:.1f}", f"{usage.ru_maxrss / 1024:,.0f}"])
    show(f"bench run --model {asked.model} --task xquad-r", ["", "seconds", "peak MiB"], rows)


if __name__ == "__main__":
    main()
