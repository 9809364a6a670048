"""Results of one or more models on a task in; figures, and files of them, out.

A plot has a panel for each model, all on one scale, and follows from the evidence alone; one that the evidence holds no
data for is left out. Colours can be told apart by the colour-blind and differ in lightness; where that is not enough,
shapes, outlines and labels say the same.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from benchmark import evidence
from benchmark.evidence import Result
from benchmark.paired import Paired
from leaderboard import compared, differences, drawing, heatmaps, losses, lossplots, rowplots, scatters
from leaderboard.compared import Model

PLOTS: dict[str, Callable[[Sequence[Model]], Figure | None]] = {
    "matrix": heatmaps.matrix,
    "alignment": heatmaps.alignment,
    "share": rowplots.share,
    "distance": rowplots.distance,
    "drop": rowplots.drop,
    "scatter": scatters.scatter,
    "quality-bias": scatters.quality_bias,
}


def draw(results: Sequence[Result], measure: str | None = None) -> Iterator[tuple[str, Figure]]:
    """Yield the name and the figure of every plot that the evidence allows.

    Args:
        results: models on the same task and data.
        measure: what is shown (None: the main measure of the first result).
    """
    models = compared.models(results, measure)
    for name, plot in PLOTS.items():
        with drawing.style():
            figure = plot(models) if models else None
        if figure is not None:
            yield name, figure


def write(
    results: Sequence[Result],
    folder: Path,
    stem: str,
    formats: Sequence[str] = ("svg", "png"),
    measure: str | None = None,
) -> list[Path]:
    """Write every plot to `<folder>/<stem>-<name>.<format>`, each file whole or not at all; return the paths."""
    return [
        drawing.save(figure, folder / f"{stem}-{name}.{kind}", f"{stem}: {name}")
        for name, figure in draw(results, measure)
        for kind in formats
    ]


def write_differences(found: Sequence[Paired], folder: Path, formats: Sequence[str] = ("svg", "png")) -> list[Path]:
    """Write the heat map of what differs between results, as `write` does; no paths where there is nothing to draw."""
    results = [found[0].before, *(one.after for one in found)]
    called = compared.names(results)
    task = evidence.label(results[0].says)
    with drawing.style():
        title = f"{drawing.clean(differences.task(found[0]))} · {found[0].measure}: difference from {called[0]}"
        figure = heatmaps.differences(found, called[1:], title, differences.LEVEL)
    if figure is None:
        return []
    return [drawing.save(figure, folder / f"{task}-differences.{kind}", f"{task}: differences") for kind in formats]


def write_losses(
    exact: Result, cells: pd.DataFrame, folder: Path, formats: Sequence[str] = ("svg", "png")
) -> list[Path]:
    """Write what each language loses through each variant, a picture for each setting, as `write` does."""
    stem = f"{evidence.label(exact.says)}-{evidence.slug(exact.says['model']['name'])}-loss"
    with drawing.style():
        figures = list(lossplots.draw(cells, drawing.clean(losses.title(exact))))
    return [
        drawing.save(figure, folder / f"{stem}-{setting}.{kind}", f"{stem}: {setting}")
        for setting, figure in figures
        for kind in formats
    ]
