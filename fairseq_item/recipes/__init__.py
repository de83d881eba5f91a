"""Recipes: the options of a training as YAML, ``name: value``, named as fairseq-train's flags.

``true`` gives a flag, ``false`` leaves it out. The recipes of this folder go by their name.
"""

import warnings
from pathlib import Path

import yaml

import fairseq_item
from fairseq_item.errors import InputError

FOLDER = Path(__file__).parent
PLUGIN = Path(fairseq_item.__file__).parent


def names():
    """Names of the recipes that are installed: sorted list of str."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def find(recipe):
    """The file of a recipe: one of :func:`names`, or the path of a YAML file.

    Raises:
        InputError: there is none.
    """
    path = FOLDER / f"{recipe}.yaml" if recipe in names() else Path(recipe)
    if not path.is_file():
        raise InputError(
            f"{recipe} is not there; name a YAML file, or one of the recipes {', '.join(names())}"
        )
    return path


def read(recipe):
    """The options of a recipe: dict of flags without dashes -> bool, int, float or str.

    Raises:
        InputError: there is no such recipe, it is not YAML, or a value is missing or a list.
    """
    path = find(recipe)
    try:
        options = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(options, dict):
        raise InputError(f"{path} has no options; write a line such as max-update: 500")
    for name, value in options.items():
        if not isinstance(value, bool | int | float | str):
            raise InputError(
                f"{path}: {name} is {value!r}; write one number, one word, true or false"
            )
    return options


def flags(options):
    """Options as arguments of fairseq-train: list of str."""
    found = []
    for name, value in options.items():
        if value is not False:
            found += [f"--{name}"] if value is True else [f"--{name}", str(value)]
    return found


def arguments(options, data, more=()):
    """Arguments of fairseq-train: list of str.

    Args:
        options: as :func:`read` returns them.
        data: the data-bin.
        more: further arguments, which win over the options.
    """
    return [str(data), "--user-dir", str(PLUGIN), *flags(options), *map(str, more)]


def parse(argv, source):
    """What fairseq-train makes of its arguments; imports fairseq.

    Args:
        argv: of :func:`arguments`.
        source: where they are from, for the message.

    Returns:
        fairseq's configuration.

    Raises:
        InputError: an option is unknown or missing, or its value is not of its type.
    """
    from fairseq import options as fairseq_options
    from fairseq.dataclass.utils import convert_namespace_to_omegaconf

    def refuse(message):
        raise InputError(f"{source}: {message.split(' (choose from')[0]}")

    fairseq_item.register()
    for name in ("task", "criterion", "arch"):
        if f"--{name}" not in argv:
            refuse(f"{name} is missing; write a line such as {name}: item_{_EXAMPLES[name]}")
    parser = fairseq_options.get_training_parser()
    parser.error = refuse
    args, unknown = fairseq_options.parse_args_and_arch(parser, argv, parse_known=True)
    if unknown:
        refuse(f"there is no option {unknown[0].lstrip('-')} with this task, model and optimizer")
    with warnings.catch_warnings():  # of what fairseq uses of Hydra
        warnings.simplefilter("ignore")
        return convert_namespace_to_omegaconf(args)


_EXAMPLES = {"task": "pretraining", "criterion": "pretraining", "arch": "tiny"}


def train(cfg):
    """What fairseq-train does once it has parsed its arguments; may be called again and again."""
    from fairseq import checkpoint_utils
    from fairseq.distributed import utils as distributed_utils
    from fairseq_cli import train as fairseq_train

    # fairseq keeps the best score so far on its functions: another training has its own.
    for function in (checkpoint_utils.save_checkpoint, fairseq_train.should_stop_early):
        vars(function).clear()
    # Else the first process sends the others its checkpoint as a pickle, which they refuse.
    cfg.checkpoint.load_checkpoint_on_all_dp_ranks = True
    distributed_utils.call_main(cfg, fairseq_train.main)
