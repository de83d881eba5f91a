"""The table of all models: its plan, its numbers, and a whole small one that is taken up again."""

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from fairseq_item import recipes
from fairseq_item.commands import evaluate, search
from fairseq_item.errors import InputError

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "reproduce"


@pytest.fixture(scope="module", autouse=True)
def _importable():
    sys.path.insert(0, str(FOLDER))
    yield
    sys.path.remove(str(FOLDER))


@pytest.fixture(scope="module")
def settings():
    return yaml.safe_load((FOLDER / "runs.yaml").read_text(encoding="utf-8"))


def planned(settings, size="small", **options):
    from reproduce import plan

    options = {"seeds": [7], "ablations": True, **options}
    return {run.name: run for run in plan(settings, settings["sizes"][size], **options)}


def test_an_ablation_is_its_model_with_more_options(settings):
    runs = planned(settings)
    assert runs["views-both"].options == {**runs["item-views"].options, "view-single": 0}
    assert runs["item"].options["max-update"] == runs["clip"].options["max-update"] == 500
    assert {run.seed for run in runs.values()} == {7}
    kinds = [bool(run.entry.get("ablation")) for run in runs.values()]
    assert kinds == sorted(kinds)  # the models first
    assert "item" not in planned(settings, only=["clip"])


def test_the_recommended_recipe_is_the_quickstart_s(settings):
    laptop, options = recipes.read("laptop"), planned(settings)["item-views"].options
    changed = {name for name in laptop if laptop[name] != options[name]}
    assert changed <= {"num-workers"}  # two trainings share the machine


@pytest.mark.parametrize("size", ["small", "paper"])  # smoke is run
def test_every_option_of_every_run_exists(settings, size):
    runs = planned(settings, size)
    for name in settings["models"]:
        options = runs[name].options
        for change in settings["ablations"].values() if size == "small" else ():
            if change["of"] == name:
                options.update(change["options"])
        recipes.parse(recipes.arguments(options, "data-bin"), name)
    recipes.parse(recipes.arguments(runs["item-views"].finetuning(60), "data-bin"), "finetuning")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--size", "huge"], "no size 'huge'"),
        (["--only", "bert"], "no model bert"),
        (["--catalog", "x.tsv"], "--images"),
        (["--settings", "none.yaml"], "none.yaml is not there"),
    ],
)
def test_bad_input_is_one_line(options, says, tmp_path):
    import reproduce

    with pytest.raises(InputError, match=says) as found:
        reproduce.main(["--out", str(tmp_path), *options])
    assert "\n" not in str(found.value)


def test_runs_go_on_when_one_fails(settings, monkeypatch, tmp_path):
    import reproduce

    done = []

    def fake(run, out, indexes):
        if run.name == "clip":
            raise InputError("broken")
        done.append(run.name)

    monkeypatch.setattr(reproduce, "train_and_measure", fake)
    runs = planned(settings, only=["roberta", "clip", "item"]).values()
    with pytest.raises(InputError, match=r"clip/seed7: broken"):
        list(reproduce.in_turn(runs, tmp_path, {}, jobs=1))
    assert done == ["roberta", "item"]


def test_queries_are_split_two_to_three_and_each_scored_once():
    from one_run import of_queries

    from fairseq_item.search.hits import Hit

    truth = {f"q{i}": {f"i{i}"} for i in range(50)}
    right = {q: [Hit(next(iter(items)), 1.0, (1.0, 1.0, 1.0))] for q, items in truth.items()}
    scores = of_queries(right, truth)
    assert (scores["dev queries"], scores["test queries"]) == (20, 30)
    assert scores["dev MAP@10"] == scores["test MAP@10"] == 100
    wrong = {q: [Hit("other", 1.0, (1.0, 1.0, 1.0))] for q in list(truth)[:25]}
    some = of_queries({**right, **wrong}, truth)
    whole = (20 * some["dev MAP@10"] + 30 * some["test MAP@10"]) / 50
    assert whole == pytest.approx(50, abs=0.01)


def test_fine_tuning_warms_up_for_six_percent(settings):
    options = planned(settings)["item-views"].finetuning(1001)
    assert (options["max-epoch"], options["batch-size"]) == (5, 64)
    assert options["total-num-update"] == 5 * 16
    assert options["warmup-updates"] == 4
    assert options["embed-layers"] == "all"  # read as the model is
    assert "view-contrast-weight" not in options


def test_spread_is_the_sample_deviation():
    from tables import spread

    assert spread([1.0, 2.0, 6.0]) == "3.0 ± 2.6"  # sqrt((4 + 1 + 9) / 2)
    assert spread([2.0]) == "2.0"
    assert spread([]) == ""


@pytest.mark.parametrize(("name", "label"), [("demo", "Drawn"), ("fashion", "Real")])
def test_the_published_tables_are_those_of_the_published_numbers(settings, name, label):
    from tables import FILES, read_csv, sections

    found = {kind: read_csv(FOLDER / "results" / f"{name}-{kind}.csv") for kind in FILES}
    published = (FOLDER / "RESULTS.md").read_text(encoding="utf-8")
    made = sections(settings, found)
    assert len(made) == 6
    for section in made:
        assert section.replace("## ", f"## {label}: ", 1) in published


def make_table(out):
    """A whole table, made by the command; the trainings of a first call were killed."""
    command = [sys.executable, str(FOLDER / "reproduce.py"), "--size", "smoke", "--out", str(out)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    cut_off = subprocess.Popen([*command, "--jobs", "2"], **quiet)
    begun = out / "runs" / "roberta" / "seed1" / "run.log"
    while not begun.exists():
        assert cut_off.poll() is None
        time.sleep(0.05)
    cut_off.terminate()
    assert cut_off.wait(60) == 143
    assert not (out / "results.md").exists()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture
def smoke(shared_folder):
    """What :func:`make_table` makes; not to be changed, for other tests read it, too."""
    return shared_folder("reproduce", make_table)


def test_smoke_table_has_every_row(smoke, settings):
    out = smoke
    results = (out / "results.md").read_text(encoding="utf-8")
    for entry in settings["models"].values():
        assert results.count(f"| {entry['label']} |") >= 3  # search, categories, unlike
    for baseline in ("TF-IDF on titles", "mean pixels", "ITEm, untrained"):
        assert f"| {baseline} |" in results
    assert "Modality balance" in results
    for name in ("scores.png", "curves.png", "balance.png", "search.csv", "categories.csv"):
        assert (out / name).stat().st_size > 200
    for name in settings["models"]:
        found = json.loads((out / "runs" / name / "seed1" / "categories.json").read_text())
        assert found["test"]["with_category"] > 0
        assert (out / "runs" / name / "seed1" / "model" / "checkpoint_best.pt").exists()


def test_only_what_is_missing_is_done_again(smoke, tmp_path):
    """As after a run that was cut off; the numbers come out as they were."""
    import reproduce

    out = shutil.copytree(smoke, tmp_path / "copy")
    results = (out / "results.md").read_text(encoding="utf-8")
    done = {path: path.stat().st_mtime_ns for path in out.glob("runs/*/*/model/done.json")}
    (out / "runs" / "clip" / "seed1" / "scores.csv").unlink()
    (out / "data-bin" / "image" / "query.json").unlink()  # packing it was cut off, too
    reproduce.main(["--size", "smoke", "--out", str(out)])
    assert done == {path: path.stat().st_mtime_ns for path in done}
    assert (out / "runs" / "clip" / "seed1" / "scores.csv").exists()
    assert results == (out / "results.md").read_text(encoding="utf-8")


def test_a_number_of_the_table_by_other_means(smoke, tmp_path, capsys):
    """MAP@10 of the table equals that of item-search and item-evaluate on the same queries."""
    from tables import read_csv

    out = smoke
    run = out / "runs" / "item" / "seed1"
    hits = str(tmp_path / "again.tsv")
    search.main([str(run / "index"), f"--queries={run}/embeddings/query", "--out", hits])
    capsys.readouterr()
    evaluate.main(["--hits", hits, "--truth", str(out / "queries" / "truth.tsv")])
    expected = json.loads(re.search(r"{.*}", capsys.readouterr().out)[0])["MAP@10"]
    (row,) = [
        row
        for row in read_csv(out / "search.csv")
        if (row["model"], row["queries"], row["index"], row["by"])
        == ("item", "query", "default", "fused")
    ]
    count = {part: int(row[f"{part} queries"]) for part in ("dev", "test")}
    mean = sum(float(row[f"{part} MAP@10"]) * count[part] for part in count) / sum(count.values())
    assert mean == pytest.approx(expected, abs=0.02)
