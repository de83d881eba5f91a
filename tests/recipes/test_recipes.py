"""Recipes: what is in them, what is refused with one line, and that item-train trains with them."""

import pytest
import yaml

from fairseq_item import recipes
from fairseq_item.commands import train
from fairseq_item.errors import InputError


@pytest.mark.parametrize("name", recipes.names())
def test_every_installed_recipe_is_understood_by_fairseq_train(name):
    """And each of its values arrives where fairseq's configuration has it."""
    options = recipes.read(name)
    cfg = recipes.parse(recipes.arguments(options, "data-bin"), name)
    assert (cfg.task._name, cfg.criterion._name) == (options["task"], options["criterion"])
    assert cfg.dataset.batch_size == options["batch-size"]
    assert cfg.optimization.max_update == options.get("max-update", 0)
    assert cfg.optimization.lr == [float(options["lr"])]
    assert cfg.dataset.required_batch_size_multiple == 1
    assert cfg.model.compute_dtype == options["compute-dtype"]


def test_the_paper_s_recipe_is_the_paper_s():
    cfg = recipes.parse(recipes.arguments(recipes.read("paper"), "data-bin"), "paper")
    assert cfg.dataset.batch_size * cfg.optimization.update_freq[0] == 512
    assert cfg.optimization.max_update == cfg.lr_scheduler.total_num_update == 100_000
    weights = [cfg.criterion[f"{name}_weight"] for name in ("itm", "mlm", "gmlm", "mim", "gmim")]
    assert weights == [1, 0.1, 0.1, 0.01, 0.01]
    assert (cfg.model.encoder_layers, cfg.model.encoder_embed_dim) == (12, 768)
    assert list(cfg.optimizer.adamw_betas) == [0.9, 0.98]


WHOLE = "task: item_pretraining\ncriterion: item_pretraining\narch: item_tiny\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (WHOLE + "max-updat: 3", "there is no option max-updat"),
        (WHOLE + "max-update: many", "argument --max-update: invalid int value: 'many'"),
        (WHOLE + "lr: fast", "argument --lr: invalid"),
        (WHOLE + "lr: [1, 2]", r"lr is \[1, 2\]; write one number"),
        (WHOLE + "lr:", "lr is None"),
        (WHOLE.replace("tiny", "huge"), "invalid choice: 'item_huge'$"),
        ("max-update: 3", "task is missing"),
        ("", "has no options"),
        ("a: [1", "is not YAML"),
    ],
)
def test_what_is_wrong_with_a_recipe_is_one_line(text, says, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=says) as found:
        train.main([str(path), "data-bin", "--print"])
    assert str(path) in str(found.value)
    assert "\n" not in str(found.value)


def test_a_recipe_that_is_not_there_names_those_that_are():
    with pytest.raises(InputError, match="lapto is not there; .* laptop, overnight, paper"):
        train.main(["lapto", "data-bin"])


def test_print_shows_the_command_and_further_options_win(capsys):
    train.main(["laptop", "data-bin", "--max-update", "7", "--save-dir", "x", "--print"])
    words = capsys.readouterr().out.split()
    assert words[:4] == ["fairseq-train", "data-bin", "--user-dir", str(recipes.PLUGIN)]
    assert words[-4:] == ["--max-update", "7", "--save-dir", "x"]
    assert "--freeze-view-temperature" in words  # true: a flag without value
    cfg = recipes.parse(words[1:], "printed")
    assert cfg.optimization.max_update == 7


def test_false_leaves_a_flag_out():
    assert recipes.flags({"cpu": False, "lr": 0.1, "no-save": True}) == ["--lr", "0.1", "--no-save"]


def test_item_train_trains_as_fairseq_train_does(commands, data_bin, tmp_path):
    """From a file of one's own: the losses are those of fairseq-train with the same options."""
    plain = commands.training(data_bin, tmp_path / "plain", updates=2)
    options, words = {}, plain[3:]  # without the data-bin and --user-dir
    while words:
        name, value = words.pop(0)[2:], True
        if words and not words[0].startswith("--"):
            value = words.pop(0)
        options[name] = value
    del options["save-dir"]
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(yaml.safe_dump(options), encoding="utf-8")
    ours = commands.run(
        "fairseq_item.commands.train", recipe, data_bin, "--save-dir", tmp_path / "ours"
    )
    theirs = commands.run("fairseq_cli.train", *plain)
    assert len(ours.lines("train_inner")) == 2
    assert ours.lines("train_inner") == theirs.lines("train_inner")
    assert (tmp_path / "ours" / "checkpoint_last.pt").exists()


def test_a_second_training_of_a_process_has_a_best_checkpoint_of_its_own(
    commands, data_bin, tmp_path, monkeypatch
):
    """fairseq keeps the best score on its functions, and would compare with the first's."""
    from fairseq import checkpoint_utils

    monkeypatch.setattr(checkpoint_utils.save_checkpoint, "best", -1e9, raising=False)
    argv = commands.training(data_bin, tmp_path, "--no-last-checkpoints", updates=1)
    recipes.train(recipes.parse(argv, "test"))
    assert (tmp_path / "checkpoint_best.pt").exists()
