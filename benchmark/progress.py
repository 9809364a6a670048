"""Counts in, progress bars on the error stream out. Bars show what is done, the rate and the time left."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress


@dataclass(frozen=True)
class Progress:
    """Where progress is told; bars are drawn on a terminal only."""

    console: Console

    def say(self, sentence: str) -> None:
        """Print one sentence."""
        self.console.print(sentence, style="dim", markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def _bar(self, description: str, total: float | None) -> Iterator[tuple[RichProgress, TaskID]]:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[shown]}"),
            TimeRemainingColumn(compact=True),
        )
        with RichProgress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal) as bar:
            yield bar, bar.add_task(description, total=total, shown="")

    @contextmanager
    def count(self, description: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        """Yield a function that is told how many more are done."""
        done, start = 0, time.monotonic()
        with self._bar(description, total) as (bar, task):

            def advance(more: int) -> None:
                nonlocal done
                done += more
                rate = done / max(time.monotonic() - start, 1e-9)
                bar.update(task, completed=done, shown=f"{done:,}/{total:,} {unit}, {rate:,.0f}/s")

            yield advance

    @contextmanager
    def bytes(self, description: str, total: int) -> Iterator[Callable[[int], None]]:
        """Yield a function that is told how many more bytes have come; no bar when none are to come."""
        if not total:
            yield lambda _: None
            return
        with self.count(description, total, "bytes") as advance:
            yield advance

    @contextmanager
    def texts(self, description: str) -> Iterator[Callable[[int, int, int, int], None]]:
        """Yield a function for `vectors.encode`: texts done and in all, padded tokens done and in all.

        The bar moves by tokens, since long texts come first; text and rate are shown by texts.
        """
        start = time.monotonic()
        with self._bar(description, None) as (bar, task):

            def advance(texts: int, all_texts: int, tokens: int, all_tokens: int) -> None:
                rate = texts / max(time.monotonic() - start, 1e-9)
                shown = f"{texts:,}/{all_texts:,} texts, {rate:,.0f}/s"
                bar.update(task, total=all_tokens, completed=tokens, shown=shown)

            yield advance
