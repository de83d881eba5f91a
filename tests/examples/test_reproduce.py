"""The table of all models: its plan, its resumable steps, its numbers, and a whole small one."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fairseq_item.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "examples" / "reproduce"


@pytest.fixture(scope="module", autouse=True)
def _importable():
    sys.path.insert(0, str(FOLDER))
    yield
    sys.path.remove(str(FOLDER))


def command(*options):
    return [sys.executable, str(FOLDER / "reproduce.py"), *map(str, options)]


def reproduce(*options):
    return subprocess.run(command(*options), capture_output=True, text=True, check=False)


def test_an_ablation_is_its_model_with_more_options():
    from plan import plan, read_settings

    settings = read_settings()
    runs = {run.name: run for run in plan(settings, "small", seeds=[7], ablations=True)}
    model, ablation = runs["item-views"].options, runs["views-both"].options
    assert ablation == (*model, "--view-single", "0")
    assert runs["item"].fill["updates"] == runs["clip"].fill["updates"] == 500
    assert {run.seed for run in runs.values()} == {7}
    assert [run.ablation for run in runs.values()] == sorted(run.ablation for run in runs.values())
    assert not any("{" in option for run in runs.values() for option in run.options)


def test_every_ablation_changes_an_option_that_exists():
    from plan import plan, read_settings

    from fairseq_item import register

    register()
    from fairseq import options as fairseq_options

    for run in plan(read_settings(), "small", ablations=True):
        parser = fairseq_options.get_training_parser()
        # Raises SystemExit on an option that neither fairseq nor the model, task, ... has.
        fairseq_options.parse_args_and_arch(parser, ["data-bin", *run.options])


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
    done = reproduce("--out", tmp_path, *options)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_step_is_done_once_and_anew_when_it_changes(tmp_path):
    from steps import Steps

    steps, made = Steps(tmp_path), tmp_path / "made"
    script = (
        "import pathlib, sys; p = pathlib.Path(sys.argv[1]); p.mkdir(exist_ok=True);"
        "(p / str(len(list(p.iterdir())))).touch()"
    )
    step = [sys.executable, "-c", script, made]
    first = steps.run("make", step, ["made"])
    assert steps.run("make", step, ["made"]) == first
    assert len(list(made.iterdir())) == 1
    # Another input before it, or another argument: what it made is removed, not added to.
    assert steps.run("make", step, ["made"], inputs="other") != first
    assert len(list(made.iterdir())) == 1
    steps.run("make", [*step, "more"], ["made"])
    assert len(list(made.iterdir())) == 1


def test_a_failed_step_says_what_its_log_ends_with_and_is_run_again(tmp_path):
    from steps import Steps

    steps, flag = Steps(tmp_path), tmp_path / "flag"
    script = (
        "import pathlib, sys; p = pathlib.Path(sys.argv[1]);"
        "p.exists() or (p.touch(), sys.exit('no luck'))"
    )
    with pytest.raises(InputError, match="status 1.*no luck"):
        steps.run("try", [sys.executable, "-c", script, flag])
    # It goes on from what it left, which is not removed: so a training resumes.
    steps.run("try", [sys.executable, "-c", script, flag], ["flag"])
    assert (tmp_path / "steps" / "try.json").exists()


def test_jobs_go_on_when_one_fails():
    from steps import in_parallel

    done = []

    def fail():
        raise InputError("broken")

    with pytest.raises(InputError, match="second: broken"):
        in_parallel(
            {"first": lambda: done.append(1), "second": fail, "third": lambda: done.append(3)}, 1
        )
    assert done == [1, 3]


def test_queries_are_split_two_to_three_and_each_scored_once():
    from measure import halves

    from fairseq_item.search.hits import Hit

    truth = {f"q{i}": {f"i{i}"} for i in range(50)}
    right = {q: [Hit(next(iter(items)), 1.0, (1.0, 1.0, 1.0))] for q, items in truth.items()}
    scores = halves(right, truth)
    assert (scores["dev"]["queries"], scores["test"]["queries"]) == (20, 30)
    assert scores["dev"]["MAP@10"] == scores["test"]["MAP@10"] == 100
    wrong = {q: [Hit("other", 1.0, (1.0, 1.0, 1.0))] for q in list(truth)[:25]}
    some = halves({**right, **wrong}, truth)
    whole = (20 * some["dev"]["MAP@10"] + 30 * some["test"]["MAP@10"]) / 50
    assert whole == pytest.approx(50, abs=0.01)


def test_fine_tuning_warms_up_for_six_percent(tmp_path):
    from one_run import finetune_schedule

    (tmp_path / "items").mkdir()
    for name, rows in (("train", 60), ("train1", 41)):
        (tmp_path / "items" / f"{name}.tsv").write_text("id\n" + "x\n" * rows)
    schedule = finetune_schedule({"finetune_epochs": 10, "finetune_batch": 10}, tmp_path)
    assert schedule == {"finetune_updates": 110, "finetune_warmup": 6}


def test_spread_is_the_sample_deviation():
    from gather import spread

    assert spread([1.0, 2.0, 6.0]) == "3.0 ± 2.6"  # sqrt((4 + 1 + 9) / 2)
    assert spread([2.0]) == "2.0"
    assert spread([]) == ""


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """A whole table, of which one training is killed and taken up again."""
    out = tmp_path_factory.mktemp("reproduce")
    options = ["--size", "smoke", "--out", out, "--jobs", "2", "--threads", "1"]
    cut_off = subprocess.Popen(
        command(*options), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    begun = out / "runs" / "roberta" / "seed1" / "steps" / "train.begun"
    while not begun.exists():
        assert cut_off.poll() is None
        time.sleep(0.05)
    cut_off.send_signal(signal.SIGTERM)
    assert cut_off.wait(60) == 143
    assert not begun.with_name("train.json").exists()
    done = reproduce(*options)
    assert done.returncode == 0, done.stderr[-3000:]
    return out, options


def test_smoke_table_has_every_row(smoke):
    import yaml

    out, _ = smoke
    models = yaml.safe_load((FOLDER / "settings.yaml").read_text(encoding="utf-8"))["models"]
    results = (out / "results.md").read_text(encoding="utf-8")
    for entry in models.values():
        assert results.count(f"| {entry['label']} |") >= 3  # search, categories, unlike
    for floor in ("TF-IDF on titles", "mean pixels", "ITEm, untrained"):
        assert f"| {floor} |" in results
    assert "Modality balance" in results
    for name in ("scores.png", "losses.png", "curves.png", "search.csv", "categories.csv"):
        assert (out / name).stat().st_size > 200
    for name in models:
        found = json.loads((out / "runs" / name / "seed1" / "categories.json").read_text())
        assert found["test"]["with_category"] > 0


def test_a_finished_table_is_not_run_again(smoke):
    out, options = smoke
    before = {path: path.stat().st_mtime_ns for path in out.glob("**/steps/*.json")}
    results = (out / "results.md").read_text(encoding="utf-8")
    done = reproduce(*options)
    assert done.returncode == 0
    assert before == {path: path.stat().st_mtime_ns for path in out.glob("**/steps/*.json")}
    assert results == (out / "results.md").read_text(encoding="utf-8")


def test_a_number_of_the_table_by_other_means(smoke):
    """MAP@10 of the table equals that of item-search and item-evaluate on the same queries."""
    out, _ = smoke
    run = out / "runs" / "item" / "seed1"
    bin_ = Path(sys.executable).parent
    hits = run / "again.tsv"
    queries = ["--queries", run / "embeddings" / "query", "--out", hits]
    subprocess.run([bin_ / "item-search", run / "index" / "default", *queries], check=True)
    truth = out / "queries" / "truth.tsv"
    done = subprocess.run(
        [bin_ / "item-evaluate", "--hits", hits, "--truth", truth],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    both = json.loads((run / "scores.json").read_text())["trained"]["query"]["default"]["fused"]
    count = {half: both[half]["queries"] for half in ("dev", "test")}
    mean = sum(both[half]["MAP@10"] * count[half] for half in count) / sum(count.values())
    assert json.loads(done.stdout)["MAP@10"] == pytest.approx(mean, abs=0.02)
