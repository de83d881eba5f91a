"""The model card of an exported folder: what the model is, what it was trained on, its limits."""

CARD = """\
---
library_name: fairseq-item
pipeline_tag: feature-extraction
license: unknown # state here under which licence you pass this model on
tags:
  - product-search
  - image-text
---

# {title}

An embedding model of products: a photo and a title in, three vectors of {dim} values out (global,
title and image), by which listings of the same product are found. Made with
[fairseq-item](https://arxiv.org/abs/2311.02084), an open implementation of ITEm (Liao et al.).

## What it is

| | |
|---|---|
{table}

## Use

{use}

## Limits

- It was trained without labels on one catalogue: titles in other languages, other kinds of products
  and other ways of taking photos than that catalogue's are not what it learnt.
- Images are brought to {stored} x {stored} pixels ({fit}), of which the model sees the middle
  {side} x {side}. Titles are cut after {tokens} tokens.
- Nobody has looked at how it treats brands, sellers or people on photos. A similarity is no proof
  that two listings are the same product.
- Measure it on your own pairs before you rely on it: `item-evaluate`.

## Licence

To be stated by whoever passes the model on: it depends on the rights in the catalogue that it was
trained on.

## Files

| file | SHA-256 |
|---|---|
{files}

Checkpoint that it was made of: SHA-256 `{checkpoint}`.
"""

PYTHON = """\
```python
{code}
```"""
USES = {
    "safetensors": """\
from fairseq_item import ItemModel

model = ItemModel.from_pretrained("this-folder")
whole, title, image = model.encode(["red leather handbag"], ["bag.jpg"])  # (1, {dim}) each""",
    "onnx": """\
from onnx_runner import ItemRunner  # in this folder; needs onnxruntime, sentencepiece and Pillow

model = ItemRunner("this-folder")  # file="model.int8.onnx" where there is one: smaller, for CPUs
whole, title, image = model.encode(["red leather handbag"], ["bag.jpg"])  # (1, {dim}) each""",
    "sentence-transformers": """\
from sentence_transformers import SentenceTransformer  # beside fairseq-item

# trust_remote_code lets it use the class of the installed fairseq-item; the folder has no code.
model = SentenceTransformer("this-folder", trust_remote_code=True)
vectors = model.encode([{{"image": "bag.jpg", "text": "red leather handbag"}}, "a title alone"])
model.similarity(vectors, vectors)  # the weighted sum of the cosines that two products share""",
}


def text(hub, config):
    """The card.

    Args:
        hub: the model.
        config: what goes into ``config.json``; ``formats`` names ways to use the folder.

    Returns:
        str: Markdown.
    """
    model, geometry = config["model"], hub.geometry
    code = "\n\n".join(PYTHON.format(code=USES[name]) for name in config["formats"])
    return CARD.format(
        title=f"{model.get('_name', 'item')}: products as vectors",
        dim=hub.dim,
        table="\n".join(f"| {name} | {value} |" for name, value in rows(hub, config)),
        use=code.format(dim=hub.dim),
        stored=config["stored_image_size"],
        fit=config["fit"],
        side=geometry.image_size,
        tokens=geometry.max_title_length,
        files="\n".join(f"| {name} | `{digest}` |" for name, digest in config["files"].items()),
        checkpoint=config["checkpoint"],
    )


def rows(hub, config):
    """What is known of the model, a list of (name, value); what is not known is said to be so."""
    model, training = config["model"], config["training"]
    sizes = [
        f"{model[key]} {name}"
        for key, name in (
            ("encoder_layers", "layers"),
            ("encoder_embed_dim", "wide"),
            ("encoder_attention_heads", "heads"),
        )
        if key in model
    ]
    products = training.get("products")
    weights = training.get("weights") or {}
    return [
        ("architecture", ", ".join([str(model.get("_name", "unknown")), *sizes])),
        ("parameters", f"{sum(p.numel() for p in hub.model.parameters()):,}"),
        ("weights", config["dtype"]),
        ("vocabulary", f"{len(hub.dictionary):,} symbols"),
        ("patches", f"{hub.geometry.patches} of {hub.geometry.patch_size} pixels"),
        ("trained on", f"{products:,} products" if products else "a number not recorded"),
        ("updates", training.get("updates", "not recorded")),
        ("products an update", training.get("batch_size", "not recorded")),
        ("objectives", ", ".join(f"{k} {v:g}" for k, v in weights.items()) or "not recorded"),
        ("leaf categories", len(config["categories"] or ()) or "none predicted"),
        ("written by", config["library"]),
    ]
