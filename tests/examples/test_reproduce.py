"""The table of all models: its plan, its numbers, and a whole small one that is taken up again."""

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fairseq_item import recipes
from fairseq_item.commands import embed, evaluate, index, search
from fairseq_item.errors import InputError

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "reproduce"
# Of each task and way to train one: `make smoke` runs all.
MODELS = ["item-views", "siglip-views", "roberta", "resnet"]
PUBLISHED = [path.name.split("-")[0] for path in FOLDER.glob("results/*-scores.csv")]


@pytest.fixture(scope="module", autouse=True)
def _importable():
    sys.path.insert(0, str(FOLDER))
    yield
    sys.path.remove(str(FOLDER))


@pytest.fixture(scope="module")
def settings():
    from reproduce import read_settings

    return read_settings(FOLDER / "runs.yaml")


def planned(settings, size="small", **options):
    from reproduce import plan

    options = {"seeds": [7], "ablations": True, **options}
    runs = plan(settings, settings["sizes"][size], **options)
    return {run.name: run for run in runs if not run.trial}


def test_a_model_has_what_the_one_has_that_it_is_of(settings):
    runs = planned(settings)
    alone, views = runs["views-alone"].options, runs["item-views"].options
    assert {name for name in alone if alone[name] != views.get(name)} == {
        "itm-weight", "mismatch-prob", "mlm-weight", "gmlm-weight", "mim-weight", "gmim-weight",
    }  # fmt: skip
    assert {run.seed for run in runs.values()} == {7}
    assert "item" not in planned(settings, only=["clip"])
    assert "views-alone" not in planned(settings, ablations=False)


def test_the_recommended_recipe_is_the_quickstart_s(settings):
    laptop, options = recipes.read("laptop"), planned(settings)["item-views"].options
    changed = {name for name in laptop if laptop[name] != options[name]}
    assert changed <= {"log-format", "save-interval", "validate-interval"}


def test_all_models_are_trained_alike(settings):
    """As many updates of as many products, a rate that falls to zero, the same second views."""
    laptop, runs = recipes.read("laptop"), planned(settings)
    shared = ("max-update", "total-num-update", "warmup-updates", "batch-size", "lr-scheduler")
    for run in runs.values():
        assert [run.options[name] for name in shared] == [500, 500, 100, 128, "polynomial_decay"]
        assert run.options["update-freq"] == 1
    views = ("view-split", "view-light", "freeze-view-temperature", "crop-min-scale")
    for name in ("clip-views", "siglip-views"):
        assert {v: runs[name].options[v] for v in views} == {v: laptop[v] for v in views}
        assert runs[name].options["view-single"] == 0  # as --separate-views: none lacks anything


def test_trials_are_short_and_the_best_one_s_rate_is_taken(settings, tmp_path):
    from one_run import searching
    from readouts import write_csv
    from reproduce import plan

    runs = plan(settings, settings["sizes"]["small"], [1, 2], only=["clip-views", "resnet"])
    trials = [run for run in runs if run.trial]
    assert [run.trial for run in trials] == [0.0005, 0.001, 0.002, 0.03, 0.1, 0.3]
    assert {run.options["total-num-update"] for run in trials} == {100}
    for run, score in zip(trials[:3], (9.5, 11.0, 10.0)):
        rows = [{"updates": 50, "map10": 99}, {"updates": 100, "map10": score}]
        folder = tmp_path / "runs" / run.folder
        folder.mkdir(parents=True)
        write_csv(folder / "curve.csv", rows)
    assert searching(runs[-2], tmp_path)["lr"] == "0.001"
    assert searching(runs[-1], tmp_path)["lr"] == 0.1  # of no trial: as it is set


@pytest.mark.parametrize("size", ["small", "paper"])  # smoke is run
def test_every_option_of_every_run_exists(settings, size, tmp_path):
    """Of models that differ in more than weights: each costs a second."""
    from one_run import searching

    runs = planned(settings, size)
    for name in ("siglip-views", "item-views", "roberta", "resnet", "title-only"):
        options = searching(runs[name], tmp_path)
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


def test_runs_go_on_when_one_fails(settings):
    import reproduce

    done = []

    def work(run):
        if run.name == "clip":
            raise InputError("broken")
        done.append(run.name)

    runs = planned(settings, only=["roberta", "clip", "item"]).values()
    with pytest.raises(InputError, match=r"clip/seed7: broken"):
        reproduce.in_turn(runs, work, jobs=1)
    assert done == ["roberta", "item"]


def test_the_first_of_the_best_on_dev_is_kept(tmp_path):
    from readouts import keep_best

    scores = {("words", "last", "1"): 5.0, ("words", "all", "1"): 7.0, ("words", "all", "2"): 7.0}
    scores["alone", "last", "3"] = 1.0
    keys = ("column", "layers", "weights")
    rows = [{**dict(zip(keys, key)), "dev": value} for key, value in scores.items()]
    (tmp_path / "hits").mkdir()
    for key in scores:
        (tmp_path / "hits" / f"{' '.join(key)}.tsv").write_text(str(key))
    keep_best(tmp_path, rows)
    assert [row["chosen"] for row in rows] == [0, 1, 0, 1]
    found = {path.name: path.read_text() for path in (tmp_path / "hits").iterdir()}
    expected = {"words.tsv": ("words", "all", "1"), "alone.tsv": ("alone", "last", "3")}
    assert found == {name: str(key) for name, key in expected.items()}


def test_a_curve_is_what_validations_found_last(tmp_path):
    from one_run import curve

    log = tmp_path / "run.log"
    lines = [(4, 1.0), (8, 2.0), (8, 3.0)]  # resumed at 4
    line = '12:00 | INFO | valid | {{"valid_num_updates": "{}", "valid_map10": "{}"}}\n'
    log.write_text("| train | {}\n" + "".join(line.format(*values) for values in lines))
    assert curve(log) == [{"updates": 4, "map10": "1.0"}, {"updates": 8, "map10": "3.0"}]


def test_rows_are_compared_by_query_over_their_seeds():
    from tables import paired

    models = {"models": {"mine": {}, "other": {}}}
    first = [np.array([1.0, 0.5]), np.array([0.0, 0.5])]
    rows = paired({("mine", "words"): first, ("other", "words"): [np.array([0.25, 0.25])]}, models)
    assert rows == [{"model": "other", "column": "words", "ahead": 25, "low": 25, "high": 25}]


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


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_tables_are_those_of_the_published_numbers(settings, name):
    from tables import FILES, read_csv, sections

    found = {kind: read_csv(FOLDER / "results" / f"{name}-{kind}.csv") for kind in FILES}
    published = (FOLDER / "RESULTS.md").read_text(encoding="utf-8")
    for section in sections(settings, found):
        assert section in published


def make_table(out):
    """A whole table, made by the command; the trainings of a first call were killed."""
    command = [sys.executable, str(FOLDER / "reproduce.py"), "--size", "smoke", "--out", str(out)]
    command += ["--trials", "--only", *MODELS]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    cut_off = subprocess.Popen([*command, "--jobs", "2"], **quiet)
    begun = out / "runs" / "resnet" / "lr0.02" / "run.log"
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
    from tables import labels, read_csv

    results = (smoke / "results.md").read_text(encoding="utf-8")
    for name, label in labels(settings).items():
        done = name.partition(" ")[0] in {*MODELS, *settings["baselines"]}
        assert (f"| {label} |" in results) == done, label
    for name in ("scores.png", "curves.png", "scores.csv", "readouts.csv"):
        assert (smoke / name).stat().st_size > 200
    done = json.loads((smoke / "runs" / "resnet" / "seed1" / "model" / "done.json").read_text())
    assert done["options"]["lr"] == "0.02"  # of the trial, where 0.01 is set
    seen = {row["chosen"] for row in read_csv(smoke / "readouts.csv")}
    assert seen == {"0", "1"}


def test_only_what_is_missing_is_done_again(smoke, tmp_path):
    """As after a run that was cut off; the numbers come out as they were."""
    import reproduce

    out = shutil.copytree(smoke, tmp_path / "copy")
    results = (out / "results.md").read_text(encoding="utf-8")
    done = {path: path.stat().st_mtime_ns for path in out.glob("runs/*/*/model/done.json")}
    (out / "runs" / "roberta" / "seed1" / "trained" / "readouts.csv").unlink()
    (out / "data-bin" / "image" / "query.json").unlink()  # packing it was cut off, too
    (out / "data-bin" / "features" / "query.json").unlink(missing_ok=True)
    options = ["--categories", "--only", "roberta"]
    reproduce.main(["--size", "smoke", "--out", str(out), *options])
    assert done == {path: path.stat().st_mtime_ns for path in done}
    again = (out / "results.md").read_text(encoding="utf-8")
    assert again.startswith(results.rstrip())
    assert "## Leaf-category prediction" in again.removeprefix(results.rstrip())


def test_a_number_of_the_table_by_other_means(smoke, tmp_path, capsys):
    """MAP@10 of a cell equals that of item-embed, item-index, item-search and item-evaluate."""
    from tables import read_csv

    run = smoke / "runs" / "item-views" / "seed1"
    rows = [row for row in read_csv(smoke / "readouts.csv") if row["model"] == "item-views"]
    (dev,) = [r["dev"] for r in rows if (r["layers"], r["weights"]) == ("all", "0.5 1 0.5 0")]
    model = ["--checkpoint", str(run / "model" / "checkpoint_best.pt"), "--features", "none"]
    folder = tmp_path / "embeddings"
    where = ["--out", str(folder / "items"), "--also", f"query={folder}/query"]
    embed.main([*model, "--data", str(smoke / "data-bin"), "--splits=train,valid,test", *where])
    index.main([str(folder / "items"), "--out", str(tmp_path / "index")])
    hits, truth = str(tmp_path / "hits.tsv"), str(smoke / "queries" / "truth.tsv")
    weights = ["--weights", "0.5", "1", "0.5", "0"]
    search.main([str(tmp_path / "index"), f"--queries={folder}/query", "--out", hits, *weights])
    capsys.readouterr()
    evaluate.main(["--hits", hits, "--truth", truth, "--queries", "dev"])
    found = json.loads(re.search(r"{.*}", capsys.readouterr().out)[0])["MAP@10"]
    assert float(dev) == pytest.approx(found, abs=0.01)
