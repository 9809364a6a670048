"""Line-aligned texts: the four bitext tasks on the real files, and small broken files."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import langcodes
import pytest

from tasks import card, fetch, languages, readers
from tasks.card import File, TaskCard
from tasks.collection import Collection
from tasks.errors import UserError

PARALLEL = {  # name -> languages, topics, and how many wordings there are not, for want of a text
    "flores-200": (204, 1012, {}),
    "ntrex-128": (128, 1997, {"am": 1}),
    "tico-19": (39, 2100, {"ckb": 1, "es-419": 3, "fr": 299, "fuv": 1, "ms": 1, "so": 1103, "ur": 1}),
}
NAMES = [*PARALLEL, "tatoeba"]
SMALL_PAIRS = {"am": 168, "ang": 134, "ch": 137, "gsw": 117, "kw": 1000, "sw": 0, "swh": 390, "tzl": 104, "xh": 142}
# How the names of files differ from a tag's ISO 639-3 or ISO 639-1 code, besides by region and script.
RENAMED = {"cmn": "zho"}
SCRIPTS = {
    "CJK": "Hani", "HIRAGANA": "Jpan", "HANGUL": "Kore", "LATIN": "Latn", "ARABIC": "Arab", "CYRILLIC": "Cyrl",
    "DEVANAGARI": "Deva", "ETHIOPIC": "Ethi", "THAI": "Thai", "GREEK": "Grek", "HEBREW": "Hebr", "BENGALI": "Beng",
    "TAMIL": "Taml", "TELUGU": "Telu", "KANNADA": "Knda", "MALAYALAM": "Mlym", "GUJARATI": "Gujr", "GURMUKHI": "Guru",
    "ORIYA": "Orya", "SINHALA": "Sinh", "TIBETAN": "Tibt", "MYANMAR": "Mymr", "KHMER": "Khmr", "LAO": "Laoo",
    "GEORGIAN": "Geor", "ARMENIAN": "Armn", "TIFINAGH": "Tfng", "OL": "Olck", "THAANA": "Thaa",
}  # fmt: skip
MIXED = {"lfn", "sr", "uz"}  # of Tatoeba, in Latin and Cyrillic


@pytest.fixture(scope="module")
def bitext(mirror: str, shared_cache: Path) -> Iterator[Callable[[str], Collection]]:
    """Reads a task once; skips where the mirror does not hold its files."""
    found: dict[str, Collection] = {}

    def load(name: str) -> Collection:
        task = card.find(name)
        if "://" not in mirror and not (Path(mirror) / task.files[0].path).is_file():
            pytest.skip(f"the mirror {mirror} does not hold the files of {name}")
        if name not in found:
            found[name] = readers.load(task, fetch.fetch(task, mirror))
        return found[name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISOGLOSS_CACHE", str(shared_cache))
        yield load


def text_files(name: str) -> list[File]:
    """The files that hold texts."""
    return [file for file in card.find(name).files if file.language]


def raw(file: File) -> list[str]:
    """The lines of a real file, read in another way than the reader's."""
    return (
        (fetch.cache_folder() / "data" / file.path).read_bytes().decode().replace("\r\n", "\n").strip("\n").split("\n")
    )


# The cards.


def code(file: File) -> str:
    """The code of a file's language as upstream writes it, without region and script."""
    name = Path(file.path).name.removesuffix(".txt").removesuffix(".devtest")
    return name.rpartition(".")[2].replace("_", "-").partition("-")[0]


@pytest.mark.parametrize("name", NAMES)
def test_every_file_is_tagged_with_the_language_that_its_name_says(name: str) -> None:
    for file in text_files(name):
        primary = file.language.partition("-")[0]
        said = code(file)
        same = {primary, langcodes.Language.get(primary, normalize=False).to_alpha3()}
        assert RENAMED.get(said, said) in same, (file.path, file.language)
        assert languages.check(file.language) == file.language


@pytest.mark.parametrize("name", NAMES)
def test_every_language_has_a_row_in_the_table(name: str) -> None:
    assert [tag for tag in card.find(name).languages if not languages.family(tag)] == []


@pytest.mark.parametrize("name", NAMES)
def test_cards_say_what_bitext_needs(name: str) -> None:
    task = card.find(name)
    assert task.symmetric
    assert task.ignore_identical_ids
    assert task.licence.startswith("CC")
    assert task.contamination
    assert task.measures[0] == "Success@1"
    assert task.settings == (("cross",) if name == "tatoeba" else ("cross", "multi"))


def test_languages_that_two_files_could_claim_are_told_apart() -> None:
    tags = {name: card.find(name).languages for name in NAMES}
    assert {"ar", "ar-Latn", "ace-Arab", "ace-Latn", "zh-Hans", "zh-Hant", "sr-Cyrl", "tzm-Tfng"} <= {
        *tags["flores-200"]
    }
    assert {"en", "en-GB", "en-IN", "en-US", "es", "es-MX", "pt", "pt-BR", "az-Latn", "zh-CN"} <= {*tags["ntrex-128"]}
    assert {"ti", "ti-ER", "ti-ET", "pt-BR", "es-419", "ku", "ckb"} <= {*tags["tico-19"]}
    assert {"ar", "arq", "arz", "nb", "nn", "he", "id", "jv", "yi"} <= {*tags["tatoeba"]}


def test_the_low_resource_languages_follow_the_rule() -> None:
    """The rule stands in the card: families take turns; a new script first, then the lower class, then the tag."""
    families: dict[str, list[str]] = defaultdict(list)
    for tag in card.find("flores-200").languages:
        if languages.resource_class(tag) in (0, 1) and languages.family(tag) != "Constructed" and tag != "bm":
            families[languages.family(tag)].append(tag)
    turns = sorted(families, key=lambda family: (-len(families[family]), family))
    chosen: list[str] = []
    scripts: set[str] = set()
    while len(chosen) < 24:
        for family in turns:
            taken = {tag.partition("-")[0] for tag in chosen}
            left = [tag for tag in families[family] if tag.partition("-")[0] not in taken]
            if left and len(chosen) < 24:
                ranked = [(languages.script(tag) in scripts, languages.resource_class(tag) or 0, tag) for tag in left]
                chosen.append(min(ranked)[2])
                scripts.add(languages.script(chosen[-1]))
    assert card.find("flores-200@low-resource").languages == sorted([*chosen, "en"])
    assert (len(turns), len(scripts)) == (15, 13)  # as the card's description says


# The real files.


@pytest.mark.parametrize("name", PARALLEL)
def test_parallel_sets_have_every_wording(name: str, bitext: Callable[[str], Collection]) -> None:
    texts = bitext(name)
    spoken, topics, absent = PARALLEL[name]
    expected = {tag: topics - absent.get(tag, 0) for tag in card.find(name).languages}
    assert len(expected) == len(texts.document_languages) == spoken
    for table in (texts.documents, texts.queries):
        assert table["lang"].value_counts().to_dict() == expected
    assert texts.queries["topic"].nunique() == topics
    assert texts.documents["doc_id"].tolist() == texts.queries["query_id"].tolist()
    assert texts.documents["text"].tolist() == texts.queries["text"].tolist()


@pytest.mark.parametrize("name", PARALLEL)
def test_relevant_to_a_topic_is_its_line_in_every_language(name: str, bitext: Callable[[str], Collection]) -> None:
    texts = bitext(name)
    judged, queries = texts.judgements, texts.queries
    assert (judged["topic"] == judged["doc_id"].str.split("/").str[0]).all()
    assert (queries["query_id"] == queries["topic"] + "/" + queries["lang"]).all()
    assert set(judged["doc_id"]) == set(texts.documents["doc_id"])
    assert len(judged) == len(texts.documents)
    assert (judged["relevance"] == 1).all()


@pytest.mark.parametrize("name", PARALLEL)
def test_first_and_last_line_of_each_language(name: str, bitext: Callable[[str], Collection]) -> None:
    texts, (_, topics, _) = bitext(name), PARALLEL[name]
    by_id = texts.documents.set_index("doc_id")["text"].to_dict()
    for file in text_files(name):
        upstream = raw(file)
        assert len(upstream) == topics
        for line in (1, topics):
            assert by_id[f"{line:04}/{file.language}"] == upstream[line - 1].strip(), file.path


def test_lines_that_say_something_else_are_left_out(bitext: Callable[[str], Collection]) -> None:
    ids = set(bitext("tico-19").documents["doc_id"])
    for language, first, last in (("fr", 425, 698), ("fr", 786, 810), ("so", 838, 1379), ("so", 1539, 2099)):
        assert not ids & {f"{line:04}/{language}" for line in range(first, last + 1)}
        assert {f"{first - 1:04}/{language}", f"{last + 1:04}/{language}", f"{first:04}/en"} <= ids
    files = {file.language: raw(file) for file in text_files("tico-19")}
    empty = {
        (tag, line) for tag, found in files.items() for line, text in enumerate(found, 1) if text.strip("{}") == "NS"
    }
    assert empty == {
        *((tag, 101) for tag in ("ckb", "es-419", "fuv", "ms")), ("es-419", 774), ("es-419", 1808), ("ur", 1350)
    }  # fmt: skip
    assert not ids & {f"{line:04}/{tag}" for tag, line in empty}


def test_tatoeba_is_112_pairs_with_english(bitext: Callable[[str], Collection]) -> None:
    texts = bitext("tatoeba")
    sizes = texts.documents.loc[texts.documents["lang"] == "en", "part"].value_counts().to_dict()
    assert len(sizes) == 112
    assert sum(sizes.values()) == 88_877
    assert max(sizes.values()) == 1000
    assert {tag: sizes.get(tag, 0) for tag in SMALL_PAIRS} == SMALL_PAIRS
    assert len(texts.documents) == len(texts.queries) == len(texts.judgements) == 2 * 88_877
    by_id = texts.documents.set_index("doc_id")["text"].to_dict()
    parts = {
        file.path.rpartition(".")[0]: file.language for file in card.find("tatoeba").files if file.language != "en"
    }
    for file in card.find("tatoeba").files:
        part, upstream = parts[file.path.rpartition(".")[0]], raw(file)
        for line in (1, sizes[part]):
            assert by_id[f"{part}/{line:04}/{file.language}"] == upstream[line - 1].strip()
        assert len(upstream) == sizes[part]


def test_a_tatoeba_topic_is_two_sentences_of_its_part(bitext: Callable[[str], Collection]) -> None:
    texts = bitext("tatoeba")
    both = texts.judgements.merge(texts.documents, on="doc_id")
    assert (both["topic"].str.split("/").str[0] == both["part"]).all()
    assert (both["doc_id"] == both["topic"] + "/" + both["lang"]).all()
    assert both["lang"].isin(["en"]).sum() == (both["lang"] == both["part"]).sum() == len(both) / 2
    assert (both.groupby("topic").size() == 2).all()
    assert texts.queries["part"].tolist() == texts.documents["part"].tolist()


@pytest.mark.parametrize("name", NAMES)
def test_texts_are_in_the_script_of_their_tag(name: str, bitext: Callable[[str], Collection]) -> None:
    for tag, found in bitext(name).documents.groupby("lang")["text"]:
        letters = Counter("".join(found.head(200)))
        scripts: Counter[str] = Counter()
        for letter, times in letters.items():
            if letter.isalpha():
                script = unicodedata.name(letter, "?").split()[0]
                scripts[SCRIPTS.get(script, script)] += times
        usual = languages.script(str(tag))
        usual = "Hani" if usual in ("Hans", "Hant") else usual
        if tag not in MIXED or name != "tatoeba":
            assert scripts.most_common(1)[0][0] == usual, (tag, scripts.most_common(3))


# What can be wrong with files.


Files = dict[str, tuple[str, bytes]]


def made(folder: Path, reader: str, files: Files, options: dict[str, Any] | None = None) -> Collection:
    """Read small files, each by its name: its language and what it holds."""
    for name, (_, content) in files.items():
        (folder / name).write_bytes(content)
    pinned = {File(name, len(content), "", tag): folder / name for name, (tag, content) in files.items()}
    task = TaskCard(
        name="small", version="1", title="", description="", reader=reader, licence="CC0", citation="",
        settings=("cross",), measures=("Success@1",), folder=folder, files=tuple(pinned), options=options or {},
    )  # fmt: skip
    return readers.load(task, pinned)


def texts_of(found: Collection) -> dict[str, str]:
    return dict(zip(found.documents["doc_id"], found.documents["text"], strict=True))


ENGLISH = b"one\ntwo\nthree\n"


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (b"moja\nmbili\n", "FOLDER/t.sw has 2 lines and FOLDER/t.en has 3; in line-aligned files"),
        (b"moja\nmbili\ntatu\n\n", "FOLDER/t.sw has 4 lines and FOLDER/t.en has 3; in line-aligned files"),
        ("moja\nmbili\nç\n".encode("latin-1"), "FOLDER/t.sw, line 3: this is not UTF-8"),
        ("moja\nmbili\ntatu\n".encode("utf-16"), "FOLDER/t.sw, line 1: this is not UTF-8"),
        (b"", "FOLDER/t.sw is empty"),
        (b"\n \n\n", "FOLDER/t.sw is empty"),
    ],
)
@pytest.mark.parametrize("reader", ["parallel", "pairs"])
def test_a_broken_file_is_named(reader: str, other: bytes, says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as raised:
        made(tmp_path, reader, {"t.en": ("en", ENGLISH), "t.sw": ("sw", other)})
    message = str(raised.value)
    assert message.startswith(says.replace("FOLDER", str(tmp_path)))
    assert message.endswith(".")
    assert "\n" not in message


@pytest.mark.parametrize("reader", ["parallel", "pairs"])
@pytest.mark.parametrize(
    "other",
    [
        b"\xef\xbb\xbfmoja\r\nmbili\r\ntatu\r\n",
        b" moja\nmbili \n\ttatu",
        b"moja\nmbili\ntatu",
    ],
)
def test_marks_and_line_ends_are_no_text(reader: str, other: bytes, tmp_path: Path) -> None:
    found = made(tmp_path, reader, {"t.en": ("en", ENGLISH), "t.sw": ("sw", other)})
    assert found.documents.loc[found.documents["lang"] == "sw", "text"].tolist() == ["moja", "mbili", "tatu"]


@pytest.mark.parametrize("reader", ["parallel", "pairs"])
@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\r"])
def test_only_a_line_feed_ends_a_line(reader: str, mark: str, tmp_path: Path) -> None:
    other = f"moja\nmbili{mark}na\ntatu\n".encode()
    found = made(tmp_path, reader, {"t.en": ("en", ENGLISH), "t.sw": ("sw", other)})
    assert found.documents.loc[found.documents["lang"] == "sw", "text"].tolist() == ["moja", f"mbili{mark}na", "tatu"]


def test_an_empty_line_is_a_wording_that_is_missing(tmp_path: Path) -> None:
    files: Files = {"en": ("en", ENGLISH), "sw": ("sw", b"moja\n \ntatu\n"), "am": ("am", b"and\nhulet\nsost\n")}
    found = made(tmp_path, "parallel", files)
    relevant = found.judgements.groupby("topic")["doc_id"].apply(set).to_dict()
    assert relevant == {
        "0001": {"0001/en", "0001/sw", "0001/am"},
        "0002": {"0002/en", "0002/am"},
        "0003": {"0003/en", "0003/sw", "0003/am"},
    }
    assert found.queries["query_id"].tolist() == found.documents["doc_id"].tolist()
    assert texts_of(found)["0003/sw"] == "tatu"


def test_a_card_leaves_lines_out(tmp_path: Path) -> None:
    files: Files = {"en": ("en", ENGLISH), "sw": ("sw", b"moja\nmbili\ntatu\n")}
    found = made(tmp_path, "parallel", files, {"left_out": {"sw": [[1, 1], [3, 3]]}})
    assert texts_of(found) == {"0001/en": "one", "0002/en": "two", "0003/en": "three", "0002/sw": "mbili"}


@pytest.mark.parametrize("lines", [[0, 1], [2, 1], [1, 4], [1], 1, ["1", "2"]])
def test_lines_to_leave_out_must_be_there(lines: object, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="leaves out lines .* in «en»; write .first, last., of 3 lines"):
        made(tmp_path, "parallel", {"en": ("en", ENGLISH)}, {"left_out": {"en": [lines]}})


def test_lines_to_leave_out_must_be_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="leaves out lines in «sw», in which it has no file"):
        made(tmp_path, "parallel", {"en": ("en", ENGLISH)}, {"left_out": {"sw": [[1, 2]]}})


ABOUT = b"url\tkind\na.1\tnews\nb.2\t\na.3\ttravel\n"
FACETS = {"kind": {"column": 2}, "source": {"column": 1, "match": "[a-z]+"}}


def test_a_file_without_a_language_holds_facets(tmp_path: Path) -> None:
    files = {"about": ("", ABOUT), "en": ("en", ENGLISH), "sw": ("sw", b"moja\n\ntatu\n")}
    found = made(tmp_path, "parallel", files, {"facets": FACETS})
    assert found.queries[["query_id", "kind", "source"]].to_numpy().tolist() == [
        ["0001/en", "news", "a"], ["0002/en", "", "b"], ["0003/en", "travel", "a"], ["0001/sw", "news", "a"],
        ["0003/sw", "travel", "a"],
    ]  # fmt: skip
    assert list(found.documents.columns) == ["doc_id", "lang", "text"]
    without = made(tmp_path, "parallel", {name: files[name] for name in ("en", "sw")})
    assert found.digest() == without.digest()
    headless = made(tmp_path, "parallel", files | {"about": ("", ABOUT.partition(b"\n")[2])}, {"facets": FACETS})
    assert headless.facets_digest() == found.facets_digest() != without.facets_digest()


@pytest.mark.parametrize(
    ("about", "facets", "says"),
    [
        (None, FACETS, "options.facets need one file without a language; there are 0"),
        (b"a\tb\n", FACETS, "FOLDER/about has 1 lines and the texts have 3"),
        (ABOUT + b"c\td\n", FACETS, "FOLDER/about has 5 lines and the texts have 3"),
        (ABOUT, {"kind": {"column": 3}}, "FOLDER/about, line 2: there is no column 3, which options.facets.kind"),
        (ABOUT, {"kind": {"column": 0}}, "FOLDER/about, line 2: there is no column 0"),
        (ABOUT, {"kind": {"column": 1, "match": "("}}, "options.facets.kind must be { column = 1"),
        (ABOUT, {"kind": 2}, "options.facets.kind must be"),
        (ABOUT, {"topic": {"column": 2}}, "a facet cannot be called topic"),
        (ABOUT, ["kind"], "options.facets must be a table"),
    ],
)
def test_a_wrong_file_of_facets_is_named(about: bytes | None, facets: object, says: str, tmp_path: Path) -> None:
    files = {"en": ("en", ENGLISH)} | ({"about": ("", about)} if about else {})
    with pytest.raises(UserError) as raised:
        made(tmp_path, "parallel", files, {"facets": facets})
    assert says.replace("FOLDER", str(tmp_path)) in str(raised.value)


@pytest.mark.parametrize(
    ("name", "facet", "expected"),
    [
        ("flores-200", "domain", {"wikibooks": 351, "wikinews": 341, "wikivoyage": 320}),
        ("tico-19", "source", {"wikipedia": 1155, "ncbi": 676, "cmu": 104, "wikisource": 98, "wikinews": 67}),
        ("ntrex-128", "source", {"bbc": 245, "newsweek": 217, "reuters": 201}),
    ],
)
def test_facets_of_the_real_files(
    name: str, facet: str, expected: dict[str, int], bitext: Callable[[str], Collection]
) -> None:
    queries = bitext(name).queries
    english = queries[queries["lang"] == "en"].set_index("topic")[facet]
    assert english.value_counts().head(len(expected)).to_dict() == expected
    assert (queries[facet] == queries["topic"].map(english)).all()


def test_a_variant_keeps_the_facets() -> None:
    files = card.find("flores-200@low-resource").files
    assert [file.path.rpartition("/")[2] for file in files if not file.language] == ["metadata_devtest.tsv"]


@pytest.mark.parametrize(
    ("reader", "files", "says"),
    [
        ("parallel", {}, "names no file"),
        ("parallel", {"a": ("en", ENGLISH), "b": ("en", ENGLISH)}, "a second file in «en», FOLDER/b;"),
        ("parallel", {"a": ("", ENGLISH)}, "a file without a language, FOLDER/a;"),
        ("pairs", {}, "names no pair of files"),
        ("pairs", {"t.en": ("en", ENGLISH)}, "names no pair of files"),
        ("pairs", {"t.sw": ("sw", ENGLISH)}, "FOLDER/t.sw has no English side"),
        ("pairs", {"t.sw": ("sw", ENGLISH), "u.en": ("en", ENGLISH)}, "FOLDER/t.sw has no English side"),
        (
            "pairs",
            {"t.sw": ("", ENGLISH), "t.en": ("en", ENGLISH)},
            "a file without a language in one pair, FOLDER/t.sw",
        ),
        ("pairs", {"t.1": ("sw", ENGLISH), "t.2": ("sw", ENGLISH)}, "a second file in «sw» in one pair, FOLDER/t.2"),
        (
            "pairs",
            {"t.sw": ("sw", ENGLISH), "t.am": ("am", ENGLISH), "t.en": ("en", ENGLISH)},
            "FOLDER/t.sw shares its English side with another language",
        ),
        (
            "pairs",
            {"t.1": ("sw", ENGLISH), "t.2": ("en", ENGLISH), "u.1": ("sw", ENGLISH), "u.2": ("en", ENGLISH)},
            "a second pair in «sw», FOLDER/u.1",
        ),
        ("pairs", {"t.sw": ("sw", b"a\n\n"), "t.en": ("en", b"\nb\n")}, "FOLDER/t.sw and FOLDER/t.en have no line"),
    ],
)
def test_files_that_do_not_belong_together_are_named(reader: str, files: Files, says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as raised:
        made(tmp_path, reader, files)
    assert says.replace("FOLDER", str(tmp_path)) in str(raised.value)
    assert str(raised.value).endswith(".")


def test_a_file_in_an_unknown_language_is_named(tmp_path: Path) -> None:
    says = (card.CARDS / "tico-19.toml").read_text(encoding="utf-8").replace('language = "lg"', 'language = "xx"')
    (tmp_path / "card.toml").write_text(says, encoding="utf-8")
    with pytest.raises(UserError, match="«xx» is not a language tag"):
        card.read(tmp_path / "card.toml")


def test_pairs_are_parts_with_english_of_their_own(tmp_path: Path) -> None:
    found = made(
        tmp_path,
        "pairs",
        {
            "t.sw-en.en": ("en", b"one\n\nthree\n"),
            "t.sw-en.sw": ("sw", b"moja\nmbili\ntatu\n"),
            "t.am-en.am": ("am", b"hulet\n"),
            "t.am-en.en": ("en", b"two\n"),
            "t.fr-en.en": ("en", b"four\n"),  # its French half is not among the files
        },
    )
    assert texts_of(found) == {
        "sw/0001/sw": "moja", "sw/0003/sw": "tatu", "sw/0001/en": "one", "sw/0003/en": "three",
        "am/0001/am": "hulet", "am/0001/en": "two",
    }  # fmt: skip
    for table in (found.documents, found.queries):
        assert table["part"].tolist() == ["sw"] * 4 + ["am"] * 2
    relevant = found.judgements.groupby("topic")["doc_id"].apply(set).to_dict()
    assert relevant["sw/0003"] == {"sw/0003/sw", "sw/0003/en"}
    assert set(relevant) == {"sw/0001", "sw/0003", "am/0001"}
