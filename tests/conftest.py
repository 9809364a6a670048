"""Where tests find real data and a real checkpoint, and a cache of their own."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from benchmark import cli
from benchmark.progress import Progress

WORDS = ["what", "is", "the", "capital", "of", "kenya", "nairobi", "query", "passage", ":", "a", "city"]


@pytest.fixture(scope="session")
def mirror() -> str:
    """The folder that mirrors the upstream files."""
    folder = os.environ.get("ISOGLOSS_MIRROR")
    if not folder:
        pytest.skip("needs real data: set ISOGLOSS_MIRROR to a mirror of raw.githubusercontent.com")
    return folder


@pytest.fixture(scope="session")
def checkpoint() -> Path:
    """A real multilingual checkpoint."""
    folder = os.environ.get("ISOGLOSS_TEST_MODELS")
    if not folder:
        pytest.skip("needs a real checkpoint: set ISOGLOSS_TEST_MODELS to a folder with multilingual-e5-small")
    return Path(folder) / "multilingual-e5-small"


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for the tests that encode much, so that no text is encoded twice."""
    return Path(os.environ.get("ISOGLOSS_CACHE") or tmp_path_factory.mktemp("cache"))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no mirror."""
    monkeypatch.setenv("ISOGLOSS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ISOGLOSS_MIRROR", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def progress() -> Progress:
    return Progress(Console(stderr=True))


@pytest.fixture
def bench(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., "Ran"]:
    """The command line in this process: `bench("run", "--json")` gives exit code, output and errors."""

    def call(*words: object) -> Ran:
        monkeypatch.setattr("sys.argv", ["bench", *(str(word) for word in words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        out, err = capsys.readouterr()
        return Ran(int(stopped.value.code or 0), out, err)

    return call


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of checkpoints of one training run, made with the embedded model."""
    from tests.noisy import checkpoints

    return checkpoints(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="session")
def made_kinds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a checkpoint of each kind that makes other than one vector of a text."""
    from tests import kinds

    folder = tmp_path_factory.mktemp("kinds")
    for make in (kinds.sparse, kinds.late, kinds.cross):
        make(folder / make.__name__)
    return folder


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real, tiny, untrained sentence-transformers checkpoint with prompts as e5 has them."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny") / "tiny-model"
    vocabulary = {word: place for place, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    fast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        model_max_length=12,
    )  # fmt: skip
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=32, pad_token_id=0,
    )  # fmt: skip
    plain = folder.with_name("plain")
    BertModel(config).save_pretrained(plain)
    fast.save_pretrained(plain)
    transformer = Transformer(str(plain), max_seq_length=12)
    modules = [transformer, Pooling(16, pooling_mode="mean"), Normalize()]
    model = SentenceTransformer(modules=modules, prompts={"query": "query: ", "passage": "passage: "}, device="cpu")
    model.save(str(folder), create_model_card=False)
    return folder


class Ran:
    """What a call of the command line gave."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    def failed(self, *parts: str) -> None:
        """Check that it failed as a person should see it: one sentence that says these things, exit code 2."""
        assert self.code == 2, self.err
        last = self.err.strip().splitlines()[-1]
        assert last.startswith("bench: ")
        assert "Traceback" not in self.err
        for part in parts:
            assert part in last, f"{part!r} is not in {last!r}"
