"""Small real models of every kind, untrained, made from the plain transformer that `made` is built on."""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

DECODERS = ("gpt2", "llama", "qwen3")
CHAT = "{% for message in messages %}{{ message['role'] }} : {{ message['content'] }} / {% endfor %}{{ task }}"


def edit(path: Path, **changes: object) -> None:
    """Change fields of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


def tokenizer(plain: Path, side: str = "right") -> Any:
    """Return the tokenizer of the plain transformer, padding on a side."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(plain), padding_side=side)


def decoder(name: str, plain: Path, folder: Path, side: str) -> Path:
    """Write a plain causal transformer whose tokenizer pads on a side."""
    import torch
    from transformers import AutoConfig, AutoModel

    words = tokenizer(plain, side)
    table = {"n_positions": 32, "n_embd": 16, "n_layer": 2, "n_head": 2}
    rotary = {
        "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8,
        "intermediate_size": 32, "max_position_embeddings": 32,
    }  # fmt: skip
    torch.manual_seed(1)
    ends = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
    sizes: dict[str, Any] = table if name == "gpt2" else rotary
    config = AutoConfig.for_model(name, vocab_size=len(words), **ends, **sizes)
    AutoModel.from_config(config).save_pretrained(folder)  # type: ignore[no-untyped-call]
    words.save_pretrained(folder)
    return folder


def saved(folder: Path, *modules: Any, **config: Any) -> Path:
    """Write a sentence-transformers checkpoint of these modules."""
    from sentence_transformers import SentenceTransformer

    SentenceTransformer(modules=list(modules), device="cpu", **config).save(str(folder), create_model_card=False)
    return folder


def adapter(base: Path, folder: Path) -> Path:
    """Write a LoRA adapter on a plain transformer, whose effect is large enough to be seen."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModel

    torch.manual_seed(2)
    config = LoraConfig(r=2, target_modules=["query", "value"], init_lora_weights=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that peft uses
        get_peft_model(AutoModel.from_pretrained(str(base)), config).save_pretrained(str(folder))
    return folder


def merged(base: Path, adapter: Path, folder: Path) -> Path:
    """Write the transformer that an adapter and its base are together, as peft merges them."""
    from peft import PeftModel
    from transformers import AutoModel

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = PeftModel.from_pretrained(AutoModel.from_pretrained(str(base)), str(adapter)).merge_and_unload()
    whole.save_pretrained(folder)
    tokenizer(base).save_pretrained(folder)
    return folder


def static(plain: Path, folder: Path, **options: Any) -> Path:
    """Write a model2vec model with a vector for each word of the plain transformer."""
    from model2vec import StaticModel

    words = tokenizer(plain).backend_tokenizer
    vectors = np.random.default_rng(3).normal(size=(words.get_vocab_size(), 8)).astype(np.float32)
    StaticModel(vectors, words, **options).save_pretrained(folder)
    return folder


def pooled(plain: Path, texts: list[str], pooling: str, limit: int = 12) -> NDArray[np.float32]:
    """Return what transformers alone makes of texts, one at a time: no padding, no library of ours or others."""
    import torch
    from transformers import AutoModel

    model, words = AutoModel.from_pretrained(str(plain)).eval(), tokenizer(plain)
    rows = []
    for text in texts:
        with torch.inference_mode():
            tokens = words(text, return_tensors="pt", truncation=True, max_length=limit)
            hidden = model(**{name: tokens[name] for name in ("input_ids", "attention_mask")}).last_hidden_state[0]
        rows.append({"mean": hidden.mean(dim=0), "cls": hidden[0], "last": hidden[-1]}[pooling].numpy())
    return np.stack(rows)
