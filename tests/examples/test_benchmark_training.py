"""The benchmark of training, in its quick form, and what it counts."""

import json
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

FOLDER = Path(__file__).parents[2] / "examples/benchmark"


@pytest.fixture
def rivals(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import rivals

    return rivals


@pytest.fixture
def transformers(rivals):
    if not rivals.optional("transformers"):
        pytest.skip("needs transformers")


def test_training(tmp_path, rivals, capsys):
    import training

    training.main(["--out", str(tmp_path), "--quick", "--device", "cpu"])
    result, printed = json.loads((tmp_path / "training.json").read_text()), capsys.readouterr().out
    rows = {row["name"]: row for row in result["rows"]}
    names = ["item", "fairseq's layers", *["ViLT"] * bool(rivals.optional("transformers"))]
    for dtype in ("float32", "bfloat16"):
        for name in names:
            row = rows.pop(f"item_tiny {dtype} {name}")
            assert row["rate"] > 0
            assert 0 < row["MFU %"] < 100
            assert f"| item_tiny {dtype} {name} |" in printed
    assert not rows


def tiny(rivals, **changes):
    sizes = {"encoder_layers": 3, "encoder_embed_dim": 64, "image_size": 48}
    return rivals.config("item_tiny", dropout=0.0, attention_dropout=0.0, **sizes, **changes)


def test_flops_are_those_that_torch_counts(rivals):
    """Where nothing is padded and nothing left out: of one product, by fairseq's layers too."""
    import training

    cfg = tiny(rivals)
    batch = rivals.masked_batch(cfg, 1)
    update = training.updates_of(rivals.item(cfg), batch)
    with FlopCounterMode(display=False) as counter:
        update()
    # Nobody asks for gradients of the pixels: the patches' projection is done twice, not thrice.
    unasked = 2 * cfg.patch_size**2 * 3 * 9 * 64
    needed = training.needed_flops(cfg, batch) - unasked
    assert counter.get_total_flops() == pytest.approx(needed, rel=0.01)


@pytest.mark.usefixtures("transformers")
def test_all_contestants_solve_the_same_task(rivals):
    """As many predictions of each kind; and fairseq's layers give what ours give."""
    cfg = tiny(rivals)
    batch = rivals.masked_batch(cfg, 6)
    inputs = batch["net_input"]
    torch.manual_seed(0)
    shapes = {}
    for build in (rivals.item, rivals.on_fairseq, rivals.vilt):
        predictions = build(cfg)(**inputs)
        shapes[build.__name__] = [part.shape for part in predictions]
        loss, size, _ = rivals.criterion()(build(cfg), batch)
        assert size == 6
        assert torch.isfinite(loss)
    assert shapes["item"] == shapes["on_fairseq"] == shapes["vilt"]


def test_fairseq_s_layers_compute_what_ours_do(rivals):
    cfg = tiny(rivals)
    own, other = rivals.item(cfg).eval(), rivals.on_fairseq(cfg).eval()
    names = {
        "qkv": None, "out": "self_attn.out_proj", "attention_norm": "self_attn_layer_norm",
        "fc1": "fc1", "fc2": "fc2", "ffn_norm": "final_layer_norm",
    }  # fmt: skip
    for ours, theirs in zip(own.encoder.layers, other.encoder.layers):
        for name, target in names.items():
            if target:
                state = getattr(ours, name).state_dict()
                theirs.get_submodule(target).load_state_dict(state)
        for part, weight, bias in zip(
            "qkv", ours.qkv.weight.chunk(3), ours.qkv.bias.chunk(3), strict=True
        ):
            state = {"weight": weight, "bias": bias}
            theirs.get_submodule(f"self_attn.{part}_proj").load_state_dict(state)
    x = torch.randn(4, 9, 64)
    present = torch.arange(9) < torch.tensor([9, 5, 7, 9])[:, None]
    wanted = present.flatten().nonzero().flatten()[::2]
    found, expected = (m.encoder.at(x, present, wanted) for m in (own, other))
    assert torch.allclose(found, expected, atol=1e-4)
