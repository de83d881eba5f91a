"""The benchmarks of search and growth, in their quick form: whole tables, and what must hold."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(script, out):
    command = [sys.executable, str(ROOT / "examples/benchmark" / script), "--out", str(out)]
    done = subprocess.run([*command, "--quick"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_search(tmp_path):
    printed = run("search.py", tmp_path)
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


def test_growth(tmp_path):
    pytest.importorskip("matplotlib")
    printed = run("growth.py", tmp_path)
    result = json.loads((tmp_path / "growth.json").read_text())
    assert result["sizes"] == [1000, 3000]
    stages = ["pack", "binarise", "load", "embed", "index", "search"]
    for measured in (result["cpu_seconds"], result["memory_mib"]):
        assert list(measured) == stages
        assert all(len(values) == 2 and min(values) > 0 for values in measured.values())
    assert [line.split(" | ")[0] for line in printed.splitlines()[2:]] == [f"| {s}" for s in stages]
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("power", [0.5, 1, 2])
def test_exponents_do_not_count_the_start_of_a_process(power, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "examples/benchmark"))
    from growth import exponent

    sizes = [1000, 10_000, 100_000]
    values = [0.01 + 1e-4 * count**power for count in sizes]
    assert exponent(sizes, values) == pytest.approx(power, abs=1e-6)
    assert exponent(sizes, [5, 5, 5]) == 0
    assert exponent(sizes, [5, 5.1, 51]) == pytest.approx(1)  # 5.1 is mostly the start
    assert exponent(sizes[1:], [2, 2 * 10**power]) == pytest.approx(power)
