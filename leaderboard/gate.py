"""What was measured of noise in; tables out."""

import pandas as pd

from benchmark import evidence
from benchmark.noise import KINDS
from leaderboard.tables import Table


def noise(says: evidence.Json) -> Table:
    """Return the table of the field `noise`: what was varied, and the largest change of the main measure by setting."""
    main = str(says["main_measure"])
    cells = [
        {
            "varied": row["varied"],
            "": row["how"],
            "texts": row["texts"] or None,
            "vectors\nmoved": "" if row["moved"] is None else f"{row['moved']:.1%}",
            "by at\nmost": _small(row["largest"]),
            **{
                f"{setting}\n{kind[:-1]}": _small(kinds[kind][main])
                for setting, kinds in row["scores"].items()
                for kind in KINDS[::-1]
                if kind in kinds
            },
        }
        for row in sorted(says["noise"], key=lambda row: bool(row["change"]))
    ]
    table = pd.DataFrame(cells)
    changes = [place for place, row in enumerate(cells) if row["varied"] == "dtype"]
    title = f"Noise of {says['model']['name']} on {evidence.label(says)}: largest change of {main}"
    kinds = {"texts": "count"} | dict.fromkeys(table.columns[3:], "score")
    return Table("noise", title, table, kinds, breaks=tuple(changes[:1]))


def _small(value: float | None) -> str:
    """Write a small number with two digits that count: 0, .000012 as 1.2e-05."""
    return "" if value is None else f"{value:.1e}" if value else "0"
