"""What input from elsewhere must not do: leave its folder, come by an address that is not https, or be run."""

import json
import pickle
import shutil
import tomllib
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from benchmark import cache as cached
from benchmark import encoders, vectors
from benchmark.encoders import Asked
from benchmark.encoders.random import Random
from tasks import fetch, parsing
from tasks.errors import UserError, printable
from tests.conftest import Ran
from tests.hostile import toml_text
from tests.layouts import LAYOUTS, MIA, TABLES, content, write
from tests.models import edit

Bench = Callable[..., Ran]


@pytest.fixture
def here(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


# Paths


@pytest.mark.parametrize(
    "path",
    ["..", "../x", "a/../../x", "/etc/hostname", "C:\\x", "C:x", "\\\\host\\x", "a\\..\\..\\x", "", ".", "a\0b", "a\nb",
     "x" * 256, "é" * 128],
)  # fmt: skip
def test_a_path_that_leaves_its_folder_is_none(path: str) -> None:
    assert not parsing.inside(path)


@pytest.mark.parametrize("path", ["x", "a/b.json", "./a", "..a/b..", "a..b", "übung/ü.txt", "x" * 255])
def test_a_path_that_stays_in_its_folder_is_one(path: str) -> None:
    assert parsing.inside(path)


ELSEWHERE = ("../outside", "OUTSIDE", "sub/../../outside", "link")
NAMED = [
    ("beir", "folder"), ("beir", "split"), ("trec", "documents"), ("trec", "topics"), ("trec", "qrels"),
    ("hub", "hub"), ("bucc", "gold"), ("mkqa, json", "records"), ("answers", "corpus"),
]  # fmt: skip


@pytest.mark.parametrize("said", ELSEWHERE)
@pytest.mark.parametrize(("layout", "option"), NAMED)
def test_what_a_card_names_lies_below_it(layout: str, option: str, said: str, bench: Bench, here: Path) -> None:
    task = write(LAYOUTS[layout], here)
    shutil.copytree(task, here / "outside")  # there, each would find what it looks for
    (task / "link").symlink_to(here / "outside")
    said = said.replace("OUTSIDE", str(here / "outside"))
    inner = {"split": "/test", "documents": "/documents*", "topics": "/topics*", "qrels": "/qrels*", "hub": "/data",
             "gold": "/*.gold", "records": "/own.json", "corpus": "/texts"}.get(option, "")  # fmt: skip
    if (option, said[0]) == ("split", "/"):
        pytest.skip("what comes after qrels/ is no absolute path")
    said = f"./{said}{inner}" if option == "hub" and said == "link" else said + inner
    if option == "split":  # which is below qrels
        (task / "qrels" / "link").symlink_to(here / "outside" / "qrels")
    card = task / "card.toml"
    says = tomllib.loads(card.read_text(encoding="utf-8"))
    options = says.get("options", {}) | {option: said}
    card.write_text(toml_text(says | {"options": options}), encoding="utf-8")
    by_link = said.startswith(("link", "./link"))
    bench("tasks", "check", task).failed("leads out of" if by_link else f"options.{option} must be")


def test_a_pinned_path_lies_below_the_cache(bench: Bench, here: Path) -> None:
    task = write(LAYOUTS["afriqa"], here)
    card = task / "card.toml"
    whole = card.read_text(encoding="utf-8")
    for path in ("../x", "/etc/hostname", "a/../../../x", "C:/x"):
        card.write_text(whole.replace("o/r/c/sw.jsonl", path), encoding="utf-8")
        bench("tasks", "check", task, "--mirror", here / "mirror").failed(str(card), "leaves its folder")


@pytest.mark.parametrize("layout", ["jsonl", "tsv", "parquet", "beir"])
def test_a_link_out_of_the_task_is_not_followed(layout: str, bench: Bench, here: Path) -> None:
    task = write(LAYOUTS[layout], here)
    name = next(name for name in ("documents.jsonl", "documents.tsv", "documents.parquet", "corpus.jsonl")
                if (task / name).is_file())  # fmt: skip
    shutil.move(task / name, here / name)
    (task / name).symlink_to(here / name)
    bench("tasks", "check", task).failed(f"{task / name} leads out of {task} by a link")
    (task / name).unlink()
    shutil.move(here / name, task / f"real-{name}")
    (task / name).symlink_to(f"real-{name}")  # one within the task is fine
    assert bench("tasks", "check", task).code == 0


def test_an_archive_is_read_where_it_is(bench: Bench, here: Path) -> None:
    packed = here / "m.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for member, rows in zip(("../../en.jsonl", "/tmp/../sw.jsonl"), MIA.values(), strict=True):
            archive.writestr(member, content("x.jsonl", rows))
    task = write(replace(LAYOUTS["mkqa, zip"], pinned={"o/r/c/m.zip": ("", packed.read_bytes())}), here)
    assert bench("tasks", "check", task, "--mirror", here / "mirror").code == 0  # the names are names, no more
    assert not [*here.rglob("*.jsonl"), *here.parent.glob("*.jsonl"), *here.parent.parent.glob("*.jsonl")]


# Addresses


@pytest.mark.parametrize(
    "mirror",
    ["http://example.org", "ftp://example.org/x", "gopher://example.org", "data://x", "file://example.org/tmp",
     "HTTP://example.org", "https://", "https://[", "jar:https://example.org", "javascript://x"],
)  # fmt: skip
def test_files_come_by_https_or_from_a_folder(mirror: str, here: Path) -> None:
    with pytest.raises(UserError, match=r"mirror .*(folder|address)"):
        fetch.mirror_root(mirror)


def test_a_mirror_may_be_a_folder_or_https(here: Path) -> None:
    assert fetch.mirror_root(here.as_uri()) == str(here)
    assert fetch.mirror_root(str(here)) == str(here)
    assert fetch.mirror_root("https://example.org/a") == "https://example.org/a/"


@pytest.mark.parametrize("model", ["http://example.org/v1", "ftp://example.org/v1", "file:///etc", "data:text/plain,x"])
def test_models_come_by_https_or_from_this_machine(model: str, bench: Bench, here: Path) -> None:
    bench("run", "--model", model, "--task", "demo").failed(model.partition(":")[0])


# Code


class Canary:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.fixture
def canary(tmp_path: Path) -> Any:
    """What must not be unpickled; it is looked at afterwards."""
    found = Canary(tmp_path / "unpickled")
    pickle.loads(pickle.dumps(found))
    assert found.path.exists()  # it would tell
    found.path.unlink()
    yield found
    assert not found.path.exists()


def test_a_pickled_array_is_not_opened(canary: Canary, bench: Bench, here: Path) -> None:
    folder = here / "given"
    assert bench("export", "--model", "random", "--task", "demo", "--languages", "en", "--vectors", folder).code == 0
    run = ("run", "--model", f"vectors:{folder}", "--task", "demo", "--languages", "en")
    count = len(np.load(folder / "queries.npy"))
    np.save(folder / "queries.npy", np.array([canary] * count, dtype=object), allow_pickle=True)
    bench(*run).failed(str(folder / "queries.npy"), "is no array of numbers")
    with (folder / "queries.npy").open("wb") as stream:
        np.savez(stream, vectors=np.array([canary], dtype=object))
    bench(*run).failed(str(folder / "queries.npy"), "is no array of numbers")
    (folder / "queries.npy").write_bytes(pickle.dumps(canary))
    bench(*run).failed(str(folder / "queries.npy"), "is no array of numbers")


def test_a_pickled_shard_is_damaged(canary: Canary, here: Path) -> None:
    whole = vectors.encode(Random(), ["a", "b"], "query", root=here / "cache" / "vectors")
    (space,) = cached.spaces(here / "cache")
    np.save(space.shards[0], np.array([canary], dtype=object), allow_pickle=True)
    assert [why for _, _, why in cached.verified(space)] == ["it is cut short, or no shard"]
    again = vectors.encode(Random(), ["a", "b"], "query", root=here / "cache" / "vectors")
    assert (again.vectors == whole.vectors).all()


def test_no_type_of_a_table_is_unpickled(canary: Canary, bench: Bench, here: Path) -> None:
    task = write(LAYOUTS["parquet"], here)
    table = pa.Table.from_pylist(TABLES["documents"])
    odd = {b"ARROW:extension:name": b"arrow.py_extension_type", b"ARROW:extension:metadata": pickle.dumps(canary)}
    fields = [field.with_metadata(odd) if field.name == "title" else field for field in table.schema]
    schema = pa.schema(fields, metadata={b"pandas": pickle.dumps(canary)})
    pyarrow.parquet.write_table(table.cast(schema), task / "documents.parquet")
    bench("tasks", "check", task)


def test_a_script_of_a_data_set_is_not_run(bench: Bench, here: Path) -> None:
    task = write(LAYOUTS["hub"], here)
    for name in ("data.py", "__init__.py", "hub.py"):
        (task / "data" / name).write_text(f"open({str(here / 'ran')!r}, 'w')\n", encoding="utf-8")
        (task / name).write_text(f"open({str(here / 'ran')!r}, 'w')\n", encoding="utf-8")
    bench("tasks", "check", task).failed(str(task / "data"), "scripts are no longer supported")
    assert not (here / "ran").exists()
    (task / "data" / "data.py").unlink()
    assert bench("tasks", "check", task).code == 0
    assert not (here / "ran").exists()
    readme = task / "data" / "README.md"
    whole = readme.read_text(encoding="utf-8")
    for path in ("data.py", "../card.toml", "/etc/hostname", "https://example.org/x.parquet", "hf://datasets/x/y"):
        readme.write_text(whole.replace("corpus/test.parquet", path), encoding="utf-8")
        bench("tasks", "check", task).failed(str(task / "data"))
    readme.write_text(whole.replace("config_name: corpus", f"config_name: !!python/object/apply:os.mkdir [{here}/ran]"),
                      encoding="utf-8")  # fmt: skip
    bench("tasks", "check", task).failed(str(readme))
    assert not (here / "ran").exists()


@pytest.fixture
def checkpoint(made: Path, here: Path) -> Path:
    return Path(shutil.copytree(made, here / "model"))


def pickled(path: Path, canary: Canary) -> None:
    import torch

    path.parent.mkdir(exist_ok=True)
    torch.save({"embeddings.word_embeddings.weight": canary}, path)


def encoded(folder: Path) -> Any:
    return vectors.encode(
        encoders.load(str(folder), Asked(offline=True)), ["a city"], "query", root=folder.parent / "kept"
    ).vectors


@pytest.mark.parametrize("name", ["pytorch_model.bin", "pytorch_model-00001-of-00002.bin", "adapter_model.bin"])
def test_pickled_weights_are_refused(name: str, canary: Canary, checkpoint: Path) -> None:
    (checkpoint / "model.safetensors").unlink()
    pickled(checkpoint / name, canary)
    with pytest.raises(UserError, match=f"{name} is a pickle"):
        encoded(checkpoint)


def test_pickled_weights_of_a_module_are_refused(canary: Canary, checkpoint: Path) -> None:
    says = json.loads((checkpoint / "modules.json").read_text(encoding="utf-8"))
    dense = {"idx": 3, "name": "3", "path": "3_Dense", "type": "sentence_transformers.models.Dense"}
    (checkpoint / "modules.json").write_text(json.dumps([*says, dense]), encoding="utf-8")
    pickled(checkpoint / "3_Dense" / "pytorch_model.bin", canary)
    with pytest.raises(UserError, match="3_Dense/pytorch_model.bin is a pickle"):
        encoded(checkpoint)


def test_pickled_weights_beside_others_are_not_opened(canary: Canary, checkpoint: Path) -> None:
    before = encoded(checkpoint)
    for name in ("pytorch_model.bin", "training_args.bin", "optimizer.pt", "rng_state.pth"):
        pickled(checkpoint / name, canary)
    edit(checkpoint / "sentence_bert_config.json", model_args={"use_safetensors": False, "weights_only": False})
    assert (encoded(checkpoint) == before).all()


@pytest.mark.parametrize("part", ["weights.bin", "../weights.safetensors", "/weights.safetensors"])
def test_an_index_names_safetensors_beside_it(part: str, canary: Canary, checkpoint: Path) -> None:
    (checkpoint / "model.safetensors").rename(checkpoint / "other.safetensors")
    pickled(checkpoint / Path(part).name, canary)
    index = {"metadata": {}, "weight_map": {"embeddings.word_embeddings.weight": part}}
    (checkpoint / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    edit(checkpoint / "sentence_bert_config.json", model_args={"use_safetensors": False, "weights_only": False})
    with pytest.raises(UserError, match="which is no safetensors file beside it"):
        encoded(checkpoint)


@pytest.mark.parametrize("path", ["../elsewhere", "/elsewhere", ".hidden", "onnx", 1, None])
def test_a_module_lies_where_it_is_looked_at(path: object, checkpoint: Path) -> None:
    says = json.loads((checkpoint / "modules.json").read_text(encoding="utf-8"))
    says[1]["path"] = path
    (checkpoint / "modules.json").write_text(json.dumps(says), encoding="utf-8")
    with pytest.raises(UserError, match="modules.json has a module at"):
        encoded(checkpoint)


def test_a_message_is_one_line_that_no_terminal_obeys() -> None:
    assert printable("a\nb\x1b[31m\u202e\ud800") == "a\\nb\\x1b[31m\\u202e\\ud800"
    assert len(printable("x" * 10**6)) < 5000
