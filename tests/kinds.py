"""Real, tiny, untrained checkpoints of other kinds: learned sparse, late interaction, cross-encoder."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from benchmark import encoders, vectors
from benchmark.encoders import Role
from tests.conftest import WORDS

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused0]", "[unused1]", "."]
TEXTS = [
    "what is the capital of kenya",
    "nairobi .",
    "a city of the capital",
    "passage . is",
    "is",
    "zebra",
    "of kenya a",
]


def backbone(folder: Path, model: str, **changes: Any) -> Path:
    """A plain transformers checkpoint of a class such as BertForMaskedLM, with a tokenizer of whole words."""
    import torch
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    vocabulary = {word: place for place, word in enumerate([*SPECIAL, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    fast = transformers.PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]", model_max_length=24,
    )  # fmt: skip
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=32, pad_token_id=0, **changes,
    )  # fmt: skip
    getattr(transformers, model)(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def sparse(folder: Path) -> Path:
    """A SPLADE model as the library writes it."""
    from sentence_transformers import SparseEncoder
    from sentence_transformers.sparse_encoder.modules import MLMTransformer, SpladePooling

    plain = backbone(folder.with_name("plain-sparse"), "BertForMaskedLM")
    model = SparseEncoder(modules=[MLMTransformer(str(plain)), SpladePooling()], device="cpu")
    model.save(str(folder), create_model_card=False)
    return folder


def late(folder: Path) -> Path:
    """A ColBERT model as the library writes it: markers, masks after a query, no full stops in documents."""
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.base.modules import Dense, Normalize, Transformer
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
    from torch import nn

    plain = backbone(folder.with_name("plain-late"), "BertModel")
    transformer = Transformer(
        str(plain), document_length=12, query_expansion={"strategy": "fixed", "attend": False, "length": 8}
    )
    dense = Dense(16, 8, bias=False, activation_function=nn.Identity(), module_input_name="token_embeddings")
    modules = [transformer, dense, MultiVectorMask(["."]), Normalize(module_input_name="token_embeddings")]
    prompts = {"query": "query ", "document": "passage "}
    model = MultiVectorEncoder(modules=modules, prompts=prompts, device="cpu")
    model.save(str(folder), create_model_card=False)
    return folder


def cross(folder: Path, labels: int = 1) -> Path:
    """A cross-encoder as the library writes it."""
    from sentence_transformers import CrossEncoder

    plain = backbone(folder.with_name(f"plain-{folder.name}"), "BertForSequenceClassification", num_labels=labels)
    CrossEncoder(str(plain), device="cpu").save(str(folder), create_model_card=False)
    return folder


def decoding(folder: Path) -> Path:
    """A cross-encoder that is a decoder with rotary positions: how much likelier one word is after both texts."""
    import torch
    from sentence_transformers import CrossEncoder
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.cross_encoder.modules import LogitScore
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    plain = backbone(folder.with_name("plain-decoding"), "BertModel")
    words = AutoTokenizer.from_pretrained(str(plain))
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=32, pad_token_id=0,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(plain)
    words.save_pretrained(plain)
    modules = [Transformer(str(plain), transformer_task="text-generation"), LogitScore(9, 10)]
    CrossEncoder(modules=modules, device="cpu").save(str(folder), create_model_card=False)
    return folder


def copy(folder: Path, to: Path) -> Path:
    return Path(shutil.copytree(folder, to / folder.name))


def edit(path: Path, **changes: object) -> None:
    says = json.loads(path.read_text(encoding="utf-8"))
    kept = {name: value for name, value in (says | changes).items() if value != "gone"}
    path.write_text(json.dumps(kept), encoding="utf-8")


def kept(encoder: encoders.Encoder, role: Role, root: Path) -> list[np.ndarray[Any, Any]]:
    found = vectors.encode(encoder, TEXTS, role, root=root)
    return np.split(found.vectors, np.cumsum(found.rows)[:-1])
