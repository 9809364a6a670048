"""BM25 and character n-grams: how texts are cut, and scores against bm25s itself and against plain sums."""

import json
import math
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import jsonschema
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from benchmark import encoders, evidence, measures, ranking, systems, vectors
from benchmark.encoders import Asked
from benchmark.encoders.lexical import Lexical, folded, terms
from benchmark.progress import Progress
from benchmark.run import prepare
from benchmark.scoring import Floats
from tasks import card
from tasks.collection import Collection, build
from tasks.errors import UserError
from tests import oracle
from tests.conftest import Ran

relaxed = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
quiet = Progress(Console(stderr=True))


@pytest.mark.parametrize(
    ("text", "expected"),  # its terms, with spaces between
    [
        ("Don't panic: 3.5 GHz!", "don t panic 3 5 ghz"),
        ("STRASSE Straße", "strasse strasse"),
        ("ΣΊΣΥΦΟΣ Σίσυφος", "σίσυφοσ σίσυφοσ"),
        ("ﬁne ｆｕｌｌ½", "fine full1 2"),
        ("黑豹队的防守", "黑豹 豹队 队的 的防 防守"),
        ("黑", "黑"),
        ("iPhone手机2020年", "iphone 手机 2020 年"),
        ("ラーメンを食べる", "ラー ーメ メン ンを を食 食べ べる"),
        ("ﾗｰﾒﾝ", "ラー ーメ メン"),
        ("ทีมรับ", "ทีม มรั รับ"),
        ("๒๕๖๓ ปี", "๒๕๖๓ ปี"),
        ("ភាសាខ្មែរ", "ភាសា សាខ្មែ ខ្មែរ"),
        ("မြန်မာ ລາວ", "မြန် န်မ မာ ລາ າວ"),
        ("पैंथर्स की रक्षा", "पैंथर्स की रक्षा"),
        ("한국어는 조사가 있다", "한국어는 조사가 있다"),
        ("اَلْعَرَبِيَّةُ", "اَلْعَرَبِيَّةُ"),
        ("co\u00adop می\u200cخواهم", "coop میخواهم"),
        ("…!? — ", ""),
        ("🙂", ""),
    ],
)
def test_how_a_text_is_cut(text: str, expected: str) -> None:
    assert terms(text) == expected.split()


@relaxed
@given(st.text(max_size=40))
def test_any_text_is_cut(text: str) -> None:
    found = terms(text)
    assert found == terms(folded(text))
    assert all(term and not any(letter.isspace() for letter in term) for term in found)
    assert found == terms(text + " ") == terms("!" + text + "?")


WORDS = [
    "nile",
    "flows",
    "to",
    "the",
    "sea",
    "fluss",
    "der",
    "ins",
    "meer",
    "黑豹队的防守",
    "黑豹",
    "ทีมรับ",
    "!",
    "—",
    "2020",
]


@st.composite
def collections(draw: st.DrawFn) -> Collection:
    """Texts of few words in three languages: shared words, equal texts, texts without any term."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    languages = ["de", "en", "th"][: draw(st.integers(1, 3))]

    def said() -> str:
        return " ".join(rng.choice(WORDS, rng.integers(1, 8)))

    empty = draw(st.booleans())
    documents = [
        (f"{lang}/{rng.integers(10**6)}-{number}", lang, "?!" if empty and lang == "de" else said())
        for lang in languages
        for number in range(draw(st.integers(1, 12)))
    ]
    queries = [(f"t{topic}/{lang}", lang, said(), f"t{topic}") for topic in range(3) for lang in languages]
    judgements = [(f"t{topic}", documents[rng.integers(len(documents))][0], 1) for topic in range(3)]
    documents = [documents[place] for place in rng.permutation(len(documents))]
    return build(
        pd.DataFrame(documents, columns=["doc_id", "lang", "text"]),
        pd.DataFrame(queries, columns=["query_id", "lang", "text", "topic"]),
        pd.DataFrame(judgements, columns=["topic", "doc_id", "relevance"]),
        "words",
    )


def exact_of(collection: Collection, name: str) -> tuple[systems.System, Floats]:
    system = systems.prepare(card.find("demo"), collection, encoders.load(name), quiet)
    queries, documents = len(collection.queries), len(collection.documents)
    return system, system.scorers(slice(None), np.arange(documents)).exact(slice(0, queries), slice(0, documents))


@relaxed
@given(collections(), st.booleans())
def test_a_language_scores_as_bm25s_does_on_it_alone(collection: Collection, parts: bool) -> None:
    import bm25s

    documents, queries = collection.documents, collection.queries
    label = documents["lang"]
    if parts:  # an even and an odd half, searched apart
        half = np.arange(len(documents)) % 2
        label = documents["lang"] + half.astype("str")
        collection = Collection(documents.assign(part=half), queries.assign(part=0), collection.judgements)
    _, exact = exact_of(collection, "bm25")
    for one in label.unique():
        inside = np.flatnonzero(label == one)
        held = [terms(documents["text"].iloc[place]) for place in inside]
        if not any(held):
            assert not exact[:, inside].any()
            continue
        index = bm25s.BM25()  # with its own defaults
        index.index(held, show_progress=False)
        for row, text in enumerate(queries["text"]):
            asked = terms(text)
            theirs = index.get_scores(asked) if asked else np.zeros(len(inside))
            np.testing.assert_allclose(exact[row, inside], theirs, rtol=3e-6, atol=1e-7)


@relaxed
@given(collections())
def test_bm25_is_the_formula(collection: Collection) -> None:
    """Lucene's variant: idf ln(1 + (N - df + .5) / (df + .5)) times tf / (tf + k1 (1 - b + b length / mean length))."""
    _, exact = exact_of(collection, "bm25")
    documents = collection.documents
    for lang in collection.document_languages:
        inside = np.flatnonzero((documents["lang"] == lang).to_numpy())
        held = [Counter(terms(documents["text"][place])) for place in inside]
        mean = sum(one.total() for one in held) / len(held)
        for row, text in enumerate(collection.queries["text"]):
            for place, one in zip(inside, held, strict=True):
                total = 0.0
                for term in terms(text):
                    df = sum(term in other for other in held)
                    idf = math.log(1 + (len(held) - df + 0.5) / (df + 0.5))
                    length = 1.5 * (1 - 0.75 + 0.75 * one.total() / mean) if mean else 1.0
                    total += idf * one[term] / (one[term] + length)
                assert exact[row, place] == pytest.approx(total, rel=1e-5, abs=1e-6)


def grams(text: str) -> Counter[str]:
    """Every 3, 4 and 5 characters of a word with a space on both sides; a shorter word as a whole, once."""
    found: Counter[str] = Counter()
    for word in folded(text).split():
        padded = f" {word} "
        for size in (3, 4, 5):
            found.update(padded[start : start + size] for start in range(max(1, len(padded) - size + 1)))
            if len(padded) <= size:
                break
    return found


@relaxed
@given(collections())
def test_ngrams_are_the_cosine_of_tf_idf(collection: Collection) -> None:
    _, exact = exact_of(collection, "ngrams")
    held = [grams(text) for text in collection.documents["text"]]
    df = Counter(gram for one in held for gram in one)

    def weighed(one: Counter[str]) -> dict[str, float]:
        found = {gram: n * (math.log((1 + len(held)) / (1 + df[gram])) + 1) for gram, n in one.items() if gram in df}
        length = math.sqrt(sum(weight**2 for weight in found.values())) or 1.0
        return {gram: weight / length for gram, weight in found.items()}

    right = [weighed(one) for one in held]
    for row, text in enumerate(collection.queries["text"]):
        left = weighed(grams(text))
        expected = [sum(left[gram] * one[gram] for gram in left.keys() & one.keys()) for one in right]
        np.testing.assert_allclose(exact[row], expected, atol=1e-6)


@relaxed
@given(collections(), st.sampled_from(["bm25", "ngrams"]))
def test_ranks_are_those_of_the_scores_and_equal_texts_tie(collection: Collection, name: str) -> None:
    system, exact = exact_of(collection, name)
    wanted = {"mono", "cross", "multi"}
    expected = oracle.ranks(collection, exact, wanted)
    key = ["query_id", "doc_id", "pool"]
    for rows, threads in ((1, 2), (10**6, 1)):
        found = ranking.rank(collection, system.scorers, wanted, rows=rows, threads=threads).ranks
        got = found[[*key, "rank"]].astype(dict.fromkeys(key, "str")).sort_values(key).reset_index(drop=True)
        pd.testing.assert_frame_equal(got, expected.sort_values(key).reset_index(drop=True), check_dtype=False)
    documents = collection.documents
    for lang in collection.document_languages:
        for _, same in documents[documents["lang"] == lang].groupby("text"):
            assert (exact[:, same.index] == exact[:, same.index[:1]]).all()


def test_a_language_alone_has_the_ranks_it_has_among_others() -> None:
    """BM25's statistics are of each language apart, so the languages that are run beside it move nothing."""
    whole = card.find("demo")
    both = prepare(whole, query_languages=["en", "sw"], document_languages=["en", "sw"], progress=quiet).collection
    alone = prepare(whole, query_languages=["sw"], document_languages=["sw"], progress=quiet).collection
    found = []
    for collection in (both, alone):
        system, _ = exact_of(collection, "bm25")
        ranks = ranking.rank(collection, system.scorers, {"mono"}).ranks
        found.append(ranks[ranks["pool"] == "sw"].set_index("query_id")["rank"].to_dict())
    assert found[0] == found[1]
    assert len(found[0]) == 48


def test_real_ranks_are_those_of_bm25s_on_each_language_alone(
    mirror: str, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """XQuAD-R in Thai, Chinese and Spanish: the ranks of bm25s run directly, where its float32 sums tell two apart."""
    import bm25s

    monkeypatch.setenv("ISOGLOSS_CACHE", str(shared_cache))
    languages = ["es", "th", "zh"]
    task = prepare(
        card.find("xquad-r"), query_languages=languages, document_languages=languages, settings=["mono"], progress=quiet
    )
    collection = task.collection
    system = systems.prepare(task.card, collection, encoders.load("bm25"), quiet)
    ranks = ranking.rank(collection, system.scorers, {"mono"}).ranks
    values = measures.evaluate(ranks, [measures.parse("AP")]).astype({"query_id": "str"})
    documents, texts = collection.documents, collection.document_texts
    relevant = collection.judgements.groupby("topic")["doc_id"].agg(set)
    for lang in languages:
        inside = np.flatnonzero((documents["lang"] == lang).to_numpy())
        ids = documents["doc_id"].to_numpy(object)[inside]
        index = bm25s.BM25()
        index.index([terms(texts[place]) for place in inside], show_progress=False)
        asked = collection.queries[collection.queries["lang"] == lang]
        expected = {}
        for query_id, text, topic in asked[["query_id", "text", "topic"]].itertuples(index=False):
            found = index.get_scores(terms(text))
            listed = [doc_id for _, doc_id in sorted(zip(found, ids, strict=True), reverse=True)]
            places = sorted(listed.index(doc_id) + 1 for doc_id in relevant[topic] & {*ids})
            expected[query_id] = np.mean([(many + 1) / place for many, place in enumerate(places)])
        mine = values.set_index("query_id").loc[asked["query_id"], "AP"]
        assert (np.abs(mine - pd.Series(expected)) < 1e-6).mean() > 0.995
        assert mine.mean() == pytest.approx(np.mean([*expected.values()]), abs=2e-4)


def test_the_order_of_words_in_memory_changes_nothing() -> None:
    """Another seed of Python's hashes gives the same matrices."""
    code = (
        "import numpy as np\n"
        "from benchmark import encoders\n"
        "texts = ['the nile flows', 'der fluss', 'to the sea the', '黑豹队']\n"
        "for name in ('bm25', 'ngrams'):\n"
        "    for side in encoders.load(name).weigh(texts, texts, np.array([0, 1, 0, 1])):\n"
        "        side.sum_duplicates(); print(side.data.tolist(), side.indices.tolist(), side.indptr.tolist())\n"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", code], env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=True,
            cwd=Path(__file__).parent.parent,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(runs) == 1


@pytest.mark.parametrize("name", ["bm25", "ngrams"])
def test_a_run_and_a_second_one(name: str, bench: Callable[..., Ran], cache: Path, tmp_path: Path) -> None:
    words = ("run", "--model", name, "--task", "demo", "--languages", "en,sw,th", "--results", tmp_path / "results")
    assert bench(*words).code == 0
    says = json.loads((tmp_path / "results" / name / "demo" / "evidence.json").read_text(encoding="utf-8"))
    root = Path(__file__).parent.parent
    jsonschema.validate(says, json.loads((root / "benchmark" / "evidence.schema.json").read_text(encoding="utf-8")))
    assert says["model"]["how"] == encoders.load(name).model.how
    assert says["model"]["dimensions"] > 1000
    assert says["cost"]["texts_encoded"] == 3 * 48 + 3 * 96
    assert not list(cache.rglob("*.npy"))
    macro = {row["setting"]: row["measures"]["AP"] for row in says["averages"] if row["average"] == "macro"}
    assert macro["mono"] > 0.7 > 0.2 > macro["cross"]
    again = bench(*words)
    assert again.code == 0
    assert "has the same key" in again.err
    shown = json.loads(bench(*words, "--json").out)
    assert shown["model"] == name


def test_what_was_sent_is_what_bm25_gets(bench: Callable[..., Ran], cache: Path, tmp_path: Path) -> None:
    bench("run", "--model", "bm25", "--task", "demo", "--languages", "th", "--results", tmp_path)
    says = evidence.read(tmp_path / "bm25" / "demo").says
    collection = card.find("demo")
    texts = prepare(collection, query_languages=["th"], document_languages=["th"], progress=quiet).collection
    assert says["model"]["first_query_as_sent"] == " ".join(terms(texts.queries["text"][0]))
    assert says["model"]["first_document_as_sent"].split() == terms(texts.document_texts[0])


def test_how_it_scores_is_part_of_the_key() -> None:
    keys = {name: encoders.load(name).model for name in ("bm25", "ngrams")}
    assert keys["bm25"].fingerprint != keys["ngrams"].fingerprint
    assert keys["bm25"].how["k1"] == 1.5
    assert {"bm25s", "regex", "unicode"} == set(keys["bm25"].engine)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("run", "--model", "bm25", "--task", "demo", "--dtype", "bfloat16"), "The model bm25 takes no --dtype"),
        (("run", "--model", "ngrams", "--task", "demo", "--query-prompt", "q: "), "ngrams takes no --query-prompt"),
        (("run", "--model", "bm25", "--task", "demo", "--revision", "x"), "bm25 takes no --revision"),
        (("noise", "--model", "bm25", "--task", "demo"), "bm25 does not make one vector of a text"),
        (("noise", "--model", "ngrams", "--task", "demo", "--dtypes", "float16"), "ngrams does not make one vector"),
        (("run", "--model", "bm52", "--task", "demo"), "There is no folder bm52, and it is no name on the hub"),
    ],
)
def test_wrong_uses(words: tuple[str, ...], says: str, bench: Callable[..., Ran], cache: Path, tmp_path: Path) -> None:
    bench(*words, "--results", tmp_path / "results").failed(says)
    assert not list(tmp_path.rglob("evidence.json"))


def test_vectors_are_not_to_be_had() -> None:
    encoder = encoders.load("bm25", Asked(name="words"))
    assert isinstance(encoder, Lexical)
    with pytest.raises(UserError, match="words makes no vector of a text"):
        vectors.encode(encoder, ["a"], "query")
    with pytest.raises(UserError, match="words makes no vector of a text"):
        encoder.encode(["a"], "query")
