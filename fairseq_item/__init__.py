"""ITEm: unsupervised image-text embeddings of products, as a fairseq ``--user-dir`` plugin.

Importing this package is cheap: the catalogue and image tools need neither torch nor fairseq.
The task, models, criterion and optimiser are registered when fairseq is already imported (which
is how ``fairseq-train --user-dir`` comes here), when :class:`ItemModel` is first used, or by
:func:`register`.
"""

import logging
import sys
import warnings

from fairseq_item.errors import end_input_errors_with_one_line

__version__ = "0.1.0"
__all__ = ["ItemModel", "register"]


def register():
    """Register everything of this plugin with fairseq; calling it again does nothing."""
    # One of fairseq's own tasks configures logging, down to DEBUG, when it is imported; not where
    # there is a handler already.
    root, guard = logging.getLogger(), logging.NullHandler()
    root.addHandler(guard)
    import fairseq_item.criterions
    import fairseq_item.models
    import fairseq_item.optim
    import fairseq_item.tasks  # noqa: F401

    root.removeHandler(guard)


def __getattr__(name):
    if name == "ItemModel":
        register()
        from fairseq_item.models.item import ItemModel

        return ItemModel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


# What fairseq says while it is imported concerns speech models and its own use of torch.
warnings.filterwarnings("ignore", message=".*torch.jit.script.* is deprecated")
logging.getLogger("fairseq.tasks.text_to_speech").setLevel(logging.WARNING)

if "fairseq" in sys.modules:
    register()
if "fairseq_cli" in sys.modules:  # one of fairseq's commands, before it asks for a task
    end_input_errors_with_one_line()
