"""A folder of results in; README.md, a page for each task, plots and index.html in the same folder out.

What is written depends on the evidence alone, so it can be made anew anywhere and compared byte for byte.
"""

import os
import tempfile
from pathlib import Path

from leaderboard import boards, markdown, plots, site
from tasks.errors import UserError

OVERVIEW, PAGE = "README.md", "index.html"


def files(results: Path) -> dict[str, bytes]:
    """Return what a leaderboard consists of: content by path below `results`."""
    found = boards.read(results)
    made: dict[str, bytes] = {}
    plotted = {}
    for board in found:
        with tempfile.TemporaryDirectory() as folder:
            drawn = plots.write(board.results[: markdown.SIDE_BY_SIDE], Path(folder), board.slug, ("svg",))
            made |= {f"{markdown.FOLDER}/{path.name}": path.read_bytes() for path in drawn}
        plotted[board.slug] = [path.stem.removeprefix(f"{board.slug}-") for path in drawn]
        made[f"{markdown.FOLDER}/{board.slug}.md"] = markdown.page(board, plotted[board.slug]).encode()
    made[OVERVIEW] = markdown.overview(found, plotted).encode()
    made[PAGE] = site.page(found).encode()
    return dict(sorted(made.items()))


def write(results: Path) -> list[Path]:
    """Write the leaderboard and return the paths that changed; what an earlier one left over is deleted."""
    made = files(results)
    _refuse_to_overwrite(results, made)
    changed = []
    try:
        for name, content in made.items():
            path = results / name
            if path.is_file() and path.read_bytes() == content:
                continue
            path.parent.mkdir(exist_ok=True)
            part = path.with_name(f".{path.name}.{os.getpid()}")
            try:
                part.write_bytes(content)
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)
            changed.append(path)
        for path in _left_over(results, made):
            path.unlink()
            changed.append(path)
    except OSError as error:
        raise UserError(f"{error.filename or results} cannot be written: {error.strerror or error}.") from error
    return changed


def stale(results: Path) -> list[Path]:
    """Return the paths that `write` would change."""
    made = files(results)
    differ = [
        results / name
        for name, content in made.items()
        if not (results / name).is_file() or (results / name).read_bytes() != content
    ]
    return differ + _left_over(results, made)


def _left_over(results: Path, made: dict[str, bytes]) -> list[Path]:
    """Return pages and plots of tasks that are no longer there."""
    folder = results / markdown.FOLDER
    pages = [path for path in folder.glob("*.md") if _ours(path)]
    plotted = [folder / f"{page.stem}-{name}.svg" for page in pages for name in markdown.CAPTIONS]
    here = [path for path in [*pages, *plotted] if path.is_file()]
    return sorted(path for path in here if f"{markdown.FOLDER}/{path.name}" not in made)


def _refuse_to_overwrite(results: Path, made: dict[str, bytes]) -> None:
    """Raise UserError if a file stands in the way that a person wrote."""
    for name in made:
        path = results / name
        if path.exists() and not path.name.endswith(".svg") and not _ours(path):
            raise UserError(f"{path} was not made by bench leaderboard; move it away first.")


def _ours(path: Path) -> bool:
    return path.is_file() and markdown.MADE in path.read_text("utf-8", errors="replace")[:500]
