"""What was asked in; the devices that a model computes on, and the processes that share its batches, out.

torch is imported only where a device other than the processor is asked for or may be there: importing it takes seconds.
"""

import ctypes
import os
import re
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from tasks.errors import UserError

SECONDS = 30  # for a process to end on its own


def chosen(asked: str) -> tuple[str, ...]:
    """Return the devices of a list with commas between, such as `cuda:0,cuda:1`; without one, a GPU if there is one.

    Raises UserError for a name that is none, devices of several kinds, or one that is not there.
    """
    if not asked:
        return ("cuda" if _driver() and _count("cuda") else "cpu",)
    names = tuple(name.strip() for name in asked.split(","))
    for name in names:
        if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", name):
            raise UserError(f"«{name}» is not a device; take cpu, cuda, cuda:1, mps, or several: cuda:0,cuda:1.")
    kinds = {name.partition(":")[0] for name in names}
    if len(kinds) > 1:
        raise UserError(f"{asked} are devices of several kinds, whose vectors would differ; take one kind.")
    if kinds != {"cpu"}:
        (wanted,) = kinds
        there = _count(wanted)
        for name in names:
            if int(name.partition(":")[2] or 0) >= there:
                raise UserError(f"There is no device {name} here: torch finds {there or 'none'} of the kind {wanted}.")
    return names


class _End:
    """What makes the process that takes it from a queue end."""

    def __reduce__(self) -> tuple[Callable[[], Any], tuple[()]]:
        return sys.exit, ()


def started(model: Any, names: Sequence[str]) -> dict[str, Any]:
    """Start the library's processes that share a batch, one on each device; they end with the model.

    They do not hear Ctrl-C, which this process answers for all: each would print where it was.
    """
    if hears := threading.current_thread() is threading.main_thread():
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        pool: dict[str, Any] = model.start_multi_process_pool(list(names))
    finally:
        if hears:
            signal.signal(signal.SIGINT, before)
    weakref.finalize(model, ended, pool, model.stop_multi_process_pool)
    return pool


def ended(pool: dict[str, Any], stop: Callable[[dict[str, Any]], None]) -> None:
    """Let the processes of a pool end, then have what is left stopped: one that is killed leaves semaphores behind."""
    with suppress(OSError, RuntimeError, ValueError):  # the queue may be closed already
        for _ in pool["processes"]:
            pool["input"].put(_End())
    for process in pool["processes"]:
        process.join(SECONDS)
    stop(pool)


def _driver() -> bool:
    try:
        ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError:
        return False
    return True


def _count(wanted: str) -> int:
    import torch

    if wanted == "cuda":
        return torch.cuda.device_count() if torch.cuda.is_available() else 0
    return int(torch.backends.mps.is_available())
