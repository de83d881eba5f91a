"""From settings.yaml to the runs of a table: which models, with which seeds and options."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import yaml

from fairseq_item.errors import InputError

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Run:
    """One model trained with one seed.

    Attributes:
        name, label: as the settings call it, and as the tables do.
        seed: of fairseq-train.
        options: list of str, those of fairseq-train but for the data-bin, the seed and --save-dir.
        settings: the model's entry in the settings.
        fill: what its options were filled in with: ``updates``, ``batch``, ``size``, ...
        sizes: list of str, the options that say how large it is, which fine-tuning repeats.
        ablation: whether it is an ablation rather than a row of the tables.
        first: whether the seed is the first of the size: its curves are drawn.
    """

    name: str
    label: str
    seed: int
    options: tuple
    settings: dict
    fill: dict
    sizes: tuple
    ablation: bool
    first: bool

    @property
    def folder(self):
        return Path(self.name) / f"seed{self.seed}"


def read_settings(path=HERE / "settings.yaml"):
    """The settings as a dict.

    Raises:
        InputError: the file is missing, is not YAML, or lacks a part.
    """
    try:
        settings = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} is not there; name a file such as settings.yaml") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    missing = [
        part
        for part in ("sizes", "queries", "common", "finetune", "models", "ablations", "indexes")
        if part not in (settings or {})
    ]
    if missing:
        raise InputError(f"{path} lacks {', '.join(missing)}; see examples/reproduce/settings.yaml")
    return settings


def size_of(settings, name):
    """The entry of a size.

    Raises:
        InputError: there is none of that name.
    """
    if name not in settings["sizes"]:
        raise InputError(f"there is no size {name!r}; choose {', '.join(settings['sizes'])}")
    return settings["sizes"][name]


def plan(settings, size_name, only=None, seeds=None, ablations=False, ablation_seeds=None):
    """The runs of a table, seed by seed, so that a table of one seed is there early.

    Args:
        settings: of :func:`read_settings`.
        size_name: "smoke", "small", "paper" or another of the settings.
        only: names of models and ablations to run; None for all.
        seeds: list of int; None for those of the size.
        ablations: whether ablations are run.
        ablation_seeds: list of int; None for ``seeds``.

    Returns:
        list of :class:`Run`.

    Raises:
        InputError: a name or a word in braces is not known.
    """
    size = size_of(settings, size_name)
    seeds = seeds or size["seeds"]
    models, changes = settings["models"], settings["ablations"] if ablations else {}
    unknown = set(only or ()) - {*models, *settings["ablations"]}
    if unknown:
        raise InputError(
            f"there is no model {', '.join(sorted(unknown))}; choose of "
            f"{', '.join([*models, *settings['ablations']])}"
        )
    runs = [
        _run(settings, size, name, model, seed)
        for seed in seeds
        for name, model in models.items()
        if only is None or name in only
    ]
    for seed in ablation_seeds or seeds:
        for name, change in changes.items():
            if only is None or name in only:
                runs.append(_ablation(settings, size, name, change, seed))
    return runs


def _ablation(settings, size, name, change, seed):
    base = settings["models"].get(change["of"])
    if base is None:
        raise InputError(f"ablation {name} is of {change['of']!r}, which is no model")
    more = " ".join([base.get("more", ""), change["more"]])
    model = {**base, "label": change["label"], "more": more, "classifier": "none"}
    model.update(untrained=False, balance=False)
    return _run(settings, size, name, model, seed, of=change["of"], ablation=True)


def _run(settings, size, name, model, seed, of=None, ablation=False):
    fill = {**size["fill"], **size.get("fill_of", {}).get(of or name, {})}
    transformer = size["transformer"] if model.get("transformer") else ""
    tokens = (settings["common"], model["options"], size["options"], transformer)
    options = " ".join([*tokens, model.get("more", "")])
    return Run(
        name,
        model["label"],
        seed,
        tuple(shlex.split(filled(options, fill, name))),
        model,
        fill,
        tuple(shlex.split(" ".join([size["options"], transformer, _embed_layers(model)]))),
        ablation,
        seed == size["seeds"][0],
    )


def filled(options, fill, name):
    """Options with the words in braces filled in."""
    try:
        return options.format(**fill)
    except KeyError as error:
        raise InputError(
            f"the options of {name} have {error} in braces, which nothing fills in"
        ) from None


def _embed_layers(model):
    """The option of how embeddings are read, which a fine-tuned model keeps."""
    found = re.findall(r"--embed-layers \w+", model.get("more", ""))
    return found[-1] if found else ""
