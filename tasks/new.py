"""An empty place in; a small task of one's own out, which runs as it is: a commented card and three tables."""

import re
import tempfile
from pathlib import Path

from tasks.errors import UserError

CARD = """\
# What the task is. Every field below is needed; those behind a # are not.
name = "{name}"                        # small letters, digits, dots and hyphens
version = "1"                          # count up when texts or judgements change
title = "{title}"
description = "Two questions about rivers in two languages."
reader = "folder"                      # the three tables; beir, trec, hub and ir_datasets read other layouts
licence = "CC0 1.0"
citation = "Me, 2026"
settings = ["mono", "cross", "multi"]  # own language, one other, all in one pool
measures = ["AP", "nDCG@10", "R@1"]    # the first one is the main one

# unit = "sentence"                    # what a document is; for people only
# instruction = "Find the answer."     # for models whose prompt has one: what {{task}} stands for
# homepage = "https://..."
# contamination = "Which models are known to have seen the data."
# ignore_identical_ids = true          # a document with the query's own id does not count as found
# symmetric = true                     # queries and documents are texts of one kind: both are encoded as queries
"""

TABLES: dict[str, tuple[str, ...]] = {
    "documents.tsv": (
        "doc_id\tlang\ttext",
        "nile/en\ten\tThe Nile empties into the Mediterranean.",
        "nile/sw\tsw\tMto Nile unaishia katika Bahari ya Mediterania.",
        "amazon/en\ten\tThe Amazon carries more water than any other river.",
        "amazon/sw\tsw\tMto Amazon hubeba maji mengi kuliko mto mwingine wowote.",
    ),
    "queries.tsv": (
        "query_id\tlang\ttext\ttopic",
        "q1/en\ten\tInto which sea does the Nile flow?\tq1",
        "q1/sw\tsw\tMto Nile hutiririka kuelekea bahari gani?\tq1",
        "q2/en\ten\tWhich river carries the most water?\tq2",
    ),
    "judgements.tsv": (
        "topic\tdoc_id\trelevance",
        "q1\tnile/en\t1",
        "q1\tnile/sw\t1",
        "q2\tamazon/en\t1",
        "q2\tamazon/sw\t1",
    ),
}


def write(folder: Path) -> list[Path]:
    """Write the example into `folder` all at once and return the files. Raises UserError if something is there."""
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UserError(f"{folder} is there already and not empty; name a new folder.")
    words = re.findall(r"[a-z0-9]+", folder.resolve().name.lower())
    name = "-".join(words) or "my-task"
    files = {"card.toml": CARD.format(name=name, title=name.replace("-", " ").capitalize())}
    files |= {table: "\n".join(rows) + "\n" for table, rows in TABLES.items()}
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{name}-") as aside:
        whole = Path(aside) / name
        whole.mkdir()
        for file, text in files.items():
            (whole / file).write_text(text, encoding="utf-8", newline="\n")
        if folder.exists():
            folder.rmdir()  # it is empty, and not every system renames onto a folder
        whole.rename(folder)
    return [folder / file for file in files]
