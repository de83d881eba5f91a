"""One Python file out of the runner and what it needs of this package, so that it stands alone."""

import inspect
import re

from fairseq_item import errors
from fairseq_item.data import augment, images, patches, text, titles
from fairseq_item.export import onnx_runner

# In the order in which they need one another; of the last ones single functions do.
MODULES = (errors, text, titles, images, patches)
FUNCTIONS = (augment.center_crop,)
HEAD = '''\
"""{title}

Written by item-export out of modules of fairseq-item (MIT licence), so that it stands alone.
"""
'''
# Imports of this package, on one line or in brackets, docstrings and export lists of modules.
OWN = re.compile(r"^from fairseq_item\S* import (?:\([^)]*\)|.*)\n", re.MULTILINE)
DOCSTRING = re.compile(r'\A""".*?"""\n', re.DOTALL)
NAMES = re.compile(r"^__all__ = .*\n", re.MULTILINE)


def runner_source():
    """The text of ``onnx_runner.py`` as it lies in an exported folder: str."""
    title = onnx_runner.__doc__.strip().splitlines()[0]
    parts = [HEAD.format(title=title), *(_source(module) for module in MODULES)]
    parts += [inspect.getsource(function) for function in FUNCTIONS]
    return "\n\n".join([*parts, _source(onnx_runner)])


def _source(module):
    text = DOCSTRING.sub("", inspect.getsource(module))
    return NAMES.sub("", OWN.sub("", text)).strip() + "\n"
