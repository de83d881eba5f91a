"""What ``--compute-dtype auto`` stands for."""

import types

import pytest
import torch

from fairseq_item.modules import precision
from fairseq_item.modules.precision import measure, resolve_compute_dtype


def settings(compute_dtype="auto", **sizes):
    return types.SimpleNamespace(compute_dtype=compute_dtype, **sizes)


def measured(monkeypatch, float32, bfloat16):
    """Let the measurement find these seconds; returns the widths that it was asked for."""
    asked = []

    def seconds(*widths):
        asked.append(widths)
        return {"float32": float32, "bfloat16": bfloat16}

    monkeypatch.setattr(precision, "measure", seconds)
    return asked


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_what_is_named_is_taken_unmeasured(monkeypatch, name):
    asked = measured(monkeypatch, 1.0, 1.0)
    assert resolve_compute_dtype(settings(name), "cpu") == name
    assert asked == []


@pytest.mark.parametrize(
    ("float32", "bfloat16", "chosen"),
    [(2.0, 1.0, "bfloat16"), (1.0, 2.0, "float32"), (1.05, 1.0, "float32")],
    ids=["bfloat16 is faster", "float32 is faster", "hardly a difference"],
)
def test_on_a_cpu_the_faster_one_is_taken_and_logged(
    monkeypatch, caplog, float32, bfloat16, chosen
):
    asked = measured(monkeypatch, float32, bfloat16)
    caplog.set_level("INFO")
    sizes = {"encoder_embed_dim": 48, "encoder_ffn_embed_dim": 96}
    assert resolve_compute_dtype(settings(**sizes), "cpu") == chosen
    assert asked == [(48, 96)]
    assert f"--compute-dtype auto is {chosen}" in caplog.text


def test_models_without_an_encoder_are_measured_at_a_usual_width(monkeypatch):
    asked = measured(monkeypatch, 1.0, 1.0)
    resolve_compute_dtype(settings(), torch.device("cpu"))
    assert asked == [(256, 1024)]


def test_measuring_draws_no_random_number():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    seconds = measure(32, 64)
    assert torch.equal(torch.rand(3), expected)
    assert set(seconds) == {"float32", "bfloat16"}
    assert all(0 < value < 1 for value in seconds.values())


@pytest.mark.parametrize(("supported", "chosen"), [(True, "bfloat16"), (False, "float32")])
def test_on_a_gpu_it_is_bfloat16_where_there_is_such(monkeypatch, supported, chosen):
    asked = measured(monkeypatch, 1.0, 1.0)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **options: supported)
    assert resolve_compute_dtype(settings(), "cuda") == chosen
    assert asked == []
