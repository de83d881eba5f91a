"""The costs of a product: measured in small, and what is made of them."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

BENCHMARK = Path(__file__).resolve().parents[2] / "examples" / "benchmark"
ARGS = SimpleNamespace(tflops=1000, mfu=0.5, cores=10, gpus=4, cpu_price=2.0, gpu_price=40.0)


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARK))


def test_costs_by_hand():
    """Import costs 1 ms and 10 bytes a further product; duplicates at last as the power 1.5."""
    import scale_plan

    sizes = [100, 1000, 10_000]
    stages = [
        {name: {"cpu": 3 + n / 1000, "bytes": 10 * n} for name in scale_plan.STAGES} for n in sizes
    ]
    photos = {"jpeg": {"cpu": 0.01, "bytes": 20_000.0}}
    measured = {"sizes": sizes, "stages": stages, "photos": photos}
    measured["wide"] = {"sizes": sizes[1:], "stages": stages[1:]}
    found = scale_plan.costs(measured, 1_000_000, ARGS)
    assert found["import"]["cpu"] == pytest.approx(1000)
    assert found["import"]["bytes"] == pytest.approx(1e7)
    assert found["pack"] == {"cpu": pytest.approx(1e4), "gpu": 0, "bytes": pytest.approx(2e10)}
    assert found["duplicates"]["cpu"] == pytest.approx(1000)
    many = scale_plan.costs(measured, 4_400_000, ARGS)
    assert many["duplicates"]["cpu"] == pytest.approx(4400 * 4**0.5)
    rate = 500e3 / scale_plan.UPDATE_GFLOP  # products a second, of one GPU
    assert found["train"]["gpu"] == pytest.approx(51_200_000 / rate)
    assert found["embed"]["gpu"] == pytest.approx(1e6 / rate / 3)
    of_a_million = scale_plan.plan(measured, ARGS)["1.1 million"]["stages"]
    assert of_a_million["import"]["hours"] == pytest.approx(1100 / 10 / 3600)
    assert of_a_million["import"]["dollars"] == pytest.approx(2 * 1100 / 10 / 3600)
    train = of_a_million["train"]
    assert train["dollars"] == pytest.approx(40 * train["hours"])
    total = scale_plan.table(scale_plan.plan(measured, ARGS))[-1]
    assert total[0] == "all"
    assert float(total[1]) == pytest.approx(
        sum(one["hours"] for one in of_a_million.values()), rel=0.01
    )


def test_an_update_has_the_operations_that_the_plan_says():
    import rivals
    import scale_plan
    from training import needed_flops

    cfg = rivals.config("item_base")
    batch = rivals.masked_batch(cfg, 8)
    assert needed_flops(cfg, batch) / 8 / 1e9 == pytest.approx(scale_plan.UPDATE_GFLOP, rel=0.03)


def test_scale_in_small(tmp_path, capsys):
    import scale

    scale.main(["--out", str(tmp_path), "--quick"])
    result, printed = json.loads((tmp_path / "scale.json").read_text()), capsys.readouterr().out
    stages = [name for name in scale.STAGES if name not in ("train", "embed")]
    for found in (*result["stages"], *result["wide"]["stages"]):
        assert all(cost["cpu"] > 0 for cost in found.values())
    for found in result["stages"]:
        assert list(found) == stages
        assert found["pack"]["bytes"] > 200 * 3072
        assert found["import"]["memory"] > 10
    assert 5000 < result["photos"]["jpeg"]["bytes"] < result["photos"]["patches"]["bytes"]
    bills = json.loads((tmp_path / "scale-plan.json").read_text())
    assert bills["inputs"]["gpu_price"] == 63.296
    assert bills["catalogues"]["25 million"]["stages"]["embed"]["hours"] > 0
    assert "| duplicates |" in printed
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_gtins_have_their_check_digit():
    from scale import _gtin

    from fairseq_item.feeds.listing import gtin

    assert len({gtin(_gtin(number)) for number in range(50)} - {""}) == 50
