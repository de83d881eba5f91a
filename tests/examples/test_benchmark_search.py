"""The benchmarks of search and growth, in their quick form: whole tables, and what must hold."""

import json
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "examples/benchmark"


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARK))


def test_search(tmp_path, capsys):
    import search

    search.main(["--out", str(tmp_path), "--quick"])
    printed = capsys.readouterr().out
    for fusion in ("max", "sum"):
        result = json.loads((tmp_path / f"search-{fusion}-32.json").read_text())
        rows = {row["name"]: row for row in result["rows"]}
        assert f"| search-{fusion}-32 |" in printed
        assert all(row["rate"] > 0 for row in rows.values())
        assert result["rows"][0]["name"] == "plain NumPy loop"
        assert ("faiss IndexFlatIP, concatenated" in rows) == (fusion == "sum")
        for label, least in [
            ("plain NumPy loop", 100),
            ("exact, float32", 100),
            ("exact, float16", 99),
            ("exact, int8", 95),
            ("IVF16,PQ8np" if fusion == "max" else "IVF16,PQ24np", 50),
        ]:
            assert rows[label]["recall@10"] >= least, label
        disk = [rows[f"exact, {kind}"]["disk MB"] for kind in ("float32", "float16", "int8")]
        values = 3 * 32 * 3000 / 1e6  # beside them lie titles, the same for all
        assert disk[0] - disk[1] == pytest.approx(2 * values, rel=0.02)
        assert disk[1] - disk[2] == pytest.approx(values - 3 * 4 * 3000 / 1e6, rel=0.02)
        assert rows["exact, float32"]["memory MiB"] > 10
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]  # it tidies up


def test_growth(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    import growth

    growth.main(["--out", str(tmp_path), "--quick"])
    printed = capsys.readouterr().out
    result = json.loads((tmp_path / "growth.json").read_text())
    assert result["sizes"] == [1000, 3000]
    stages = ["pack", "binarise", "load", "embed", "index", "search"]
    for measured in (result["cpu_seconds"], result["memory_mib"]):
        assert list(measured) == stages
        assert all(len(values) == 2 and min(values) > 0 for values in measured.values())
    assert [line.split(" | ")[0] for line in printed.splitlines()[3:]] == [f"| {s}" for s in stages]
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("power", [0.5, 1, 2])
def test_exponents_do_not_count_the_start_of_a_process(power):
    from growth import exponent

    sizes = [1000, 10_000, 100_000]
    values = [0.01 + 1e-4 * count**power for count in sizes]
    assert exponent(sizes, values) == pytest.approx(power, abs=1e-6)
    assert exponent(sizes, [5, 5, 5]) == 0
    assert exponent(sizes, [5, 5.1, 51]) == pytest.approx(1)  # 5.1 is mostly the start
    assert exponent(sizes[1:], [2, 2 * 10**power]) == pytest.approx(power)
