"""Texts of a task in, the weights of their terms out: BM25 and character n-grams, the lexical baselines.

Nothing is trained and nothing is kept: what a term weighs depends on all documents, so a text alone has no vector.

*Terms of BM25* are words where a script has spaces, and overlapping pairs of characters where it has none (Han,
Hiragana, Katakana, Thai, Lao, Khmer, Myanmar), as Lucene's CJKAnalyzer makes them. Words and such runs of characters
consist of letters, marks and digits; whatever else there is stands between them. A character is a letter with its marks
(an extended grapheme cluster, UAX #29). Texts are folded first: compatibility forms (NFKC), case, format characters.
There is no stemming and there are no stop words, so nothing is known of any language.

*Character n-grams* are 3 to 5 characters within what stands between spaces, with the spaces around it, folded likewise
(the analyzer `char_wb` of scikit-learn). They tell how far shared strings go, within a language and across languages.
"""

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import regex  # type: ignore[import-untyped]
from numpy.typing import NDArray

from benchmark.encoders import Asked, How, Model, NoVectors

if TYPE_CHECKING:
    from scipy.sparse import csr_array

TAKES: frozenset[str] = frozenset()
UNSPACED = ("Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar")
METHOD, K1, B = "lucene", 1.5, 0.75
SHORTEST, LONGEST = 3, 5  # characters of an n-gram

Weighed = tuple["csr_array", "csr_array"]
Progress = Callable[[int], None]

_SCRIPTS = "".join(rf"\p{{scx={script}}}" for script in UNSPACED)
_CHARACTERS = rf"[[\p{{L}}\p{{M}}\p{{Nl}}]&&[{_SCRIPTS}]]"  # other digits of these scripts make words
_RUNS = regex.compile(rf"(?V1)(?P<characters>{_CHARACTERS}+)|[[\p{{L}}\p{{M}}\p{{N}}]--{_CHARACTERS}]+")
_FORMAT = regex.compile(r"\p{Cf}+")


def load(source: str, asked: Asked) -> "Lexical":
    """Return `bm25` or `ngrams`."""
    return Lexical(source, **asked.about)


class Lexical(NoVectors):
    """A lexical baseline, by its name."""

    kind: Final = "words"

    def __init__(self, source: str, name: str = "", citation: str = "", notes: str = "") -> None:
        self.baseline = BASELINES[source]
        self.model = Model(
            name=name or source,
            family="lexical",
            source=source,
            revision="1",
            fingerprint=hashlib.sha256(f"{source} 1 {sorted(self.baseline.how.items())}".encode()).hexdigest(),
            parameters=0,
            similarity=self.baseline.similarity,
            dtype="float32",
            device="cpu",
            prompts={"query": "", "document": ""},
            engine={package: version(package) for package in self.baseline.packages}
            | {"unicode": unicodedata.unidata_version},
            citation=citation or self.baseline.citation,
            notes=notes or self.baseline.notes,
            how=self.baseline.how,
        )

    def shown(self, text: str) -> str:
        """Return what the model gets of a text."""
        return self.baseline.shown(text)

    def weigh(
        self,
        queries: Sequence[str],
        documents: Sequence[str],
        apart: NDArray[Any],
        progress: Progress = lambda _: None,
    ) -> Weighed:
        """Return what the terms of queries and documents weigh: [queries, terms] and [documents, terms], float32.

        Args:
            queries: their texts.
            documents: theirs.
            apart: [documents]: those with one label are an index of their own, where the model has several.
            progress: told the number of texts done, as they are done.
        """
        return self.baseline.weigh(queries, documents, apart, progress)


def folded(text: str) -> str:
    """Return a text without what does not count: case, compatibility forms, format characters."""
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return "".join(_FORMAT.split(text))


def terms(text: str) -> list[str]:
    """Return the terms of a text, in order: its words, and the pairs of characters of scripts without spaces."""
    found: list[str] = []
    for run in _RUNS.finditer(folded(text)):
        if run.lastgroup is None:
            found.append(run.group())
        else:
            one = regex.findall(r"\X", run.group())
            found += ["".join(one[start : start + 2]) for start in range(max(1, len(one) - 1))]
    return found


def _bm25(queries: Sequence[str], documents: Sequence[str], apart: NDArray[Any], progress: Progress) -> Weighed:
    """Weigh the terms of documents by bm25s, each label by its own statistics; a query counts its terms."""
    import bm25s
    from scipy.sparse import coo_array, csc_array

    held = _each(documents, terms, progress)
    place = _numbered(held)
    rows, columns = [np.zeros(0, dtype=np.intp)], [np.zeros(0, dtype=np.intp)]
    weights = [np.zeros(0, dtype=np.float32)]
    for label in np.unique(apart):
        row = np.flatnonzero(apart == label)
        here = _numbered([held[one] for one in row])
        if here:  # texts without any term have no mean length
            index = bm25s.BM25(method=METHOD, k1=K1, b=B)
            numbers = [[here[term] for term in held[one]] for one in row]
            index.index((numbers, here), create_empty_token=False, show_progress=False)
            scores = tuple(index.scores[part] for part in ("data", "indices", "indptr"))
            found = csc_array(scores, shape=(len(row), len(here))).tocoo()
            rows.append(row[found.row])
            columns.append(np.array([place[term] for term in here])[found.col])
            weights.append(found.data)
    width = max(1, len(place))
    cells = np.concatenate(rows), np.concatenate(columns)
    weighed = coo_array((np.concatenate(weights), cells), shape=(len(documents), width)).tocsr()
    asked = [Counter(place[term] for term in one if term in place) for one in _each(queries, terms, progress)]
    cells = (
        np.repeat(np.arange(len(queries)), [len(one) for one in asked]),
        np.array([term for one in asked for term in one], dtype=np.intp),
    )
    times = np.array([count for one in asked for count in one.values()], dtype=np.float32)
    return coo_array((times, cells), shape=(len(queries), width)).tocsr(), weighed


def _ngrams(queries: Sequence[str], documents: Sequence[str], apart: NDArray[Any], progress: Progress) -> Weighed:
    """Weigh by tf-idf over all documents, each text brought to length one; what no document holds weighs nothing."""
    del apart
    from scipy.sparse import csr_array
    from sklearn.feature_extraction.text import TfidfVectorizer

    held, asked = (_each(texts, folded, progress) for texts in (documents, queries))
    if not any(text.strip() for text in held):
        asked_none, held_none = (csr_array(np.zeros((len(texts), 1), np.float32)) for texts in (asked, held))
        return asked_none, held_none
    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(SHORTEST, LONGEST), lowercase=False)
    weighed = csr_array(vectorizer.fit_transform(held), dtype=np.float32)
    return csr_array(vectorizer.transform(asked), dtype=np.float32), weighed


def _each(texts: Sequence[str], read: Callable[[str], Any], progress: Progress) -> list[Any]:
    found = []
    for text in texts:
        found.append(read(text))
        progress(1)
    return found


def _numbered(texts: list[list[str]]) -> dict[str, int]:
    """Return the number of each term: its place among all, sorted."""
    return {term: number for number, term in enumerate(sorted(set().union(*texts)))}


@dataclass(frozen=True)
class Baseline:
    """What there is to know of a lexical baseline."""

    how: How
    weigh: Callable[[Sequence[str], Sequence[str], NDArray[Any], Progress], Weighed]
    shown: Callable[[str], str]
    similarity: Literal["cosine", "dot"]
    packages: tuple[str, ...]
    """Whose version can change a score."""
    citation: str
    notes: str


BASELINES = {
    "bm25": Baseline(
        how={"method": METHOD, "k1": K1, "b": B, "terms": "words, and pairs of characters in scripts without spaces"},
        weigh=_bm25,
        shown=lambda text: " ".join(terms(text)),
        similarity="dot",
        packages=("bm25s", "regex"),
        citation="Robertson and Zaragoza 2009, doi:10.1561/1500000019; Lù 2024, BM25S, arXiv:2407.03618",
        notes="No model: words in common, with the statistics of each language apart; no stemming, no stop words.",
    ),
    "ngrams": Baseline(
        how={"terms": f"{SHORTEST} to {LONGEST} characters within words", "weights": "tf-idf over all documents"},
        weigh=_ngrams,
        shown=folded,
        similarity="cosine",
        packages=("regex", "scikit-learn"),
        citation="",
        notes="No model: strings of characters in common, weighed by tf-idf over the documents of all languages.",
    ),
}
