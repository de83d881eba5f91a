"""One Python file out of the runner and what it needs of this package, so that it stands alone."""

import ast
import inspect

from fairseq_item import errors
from fairseq_item.data import augment, images, patches, text, titles, wordpiece
from fairseq_item.export import onnx_runner

# In the order in which they need one another; of the last ones single functions do.
MODULES = (errors, text, titles, wordpiece, images, patches)
FUNCTIONS = (augment.center_crop,)
HEAD = '''\
"""{title}

Written by item-export out of modules of fairseq-item (MIT licence), so that it stands alone.
"""
'''


def runner_source():
    """The text of ``onnx_runner.py`` as it lies in an exported folder: str."""
    title = onnx_runner.__doc__.strip().splitlines()[0]
    parts = [HEAD.format(title=title), *(_source(module) for module in MODULES)]
    parts += [inspect.getsource(function) for function in FUNCTIONS]
    return "\n\n".join([*parts, _source(onnx_runner)])


def _source(module):
    """A module's text without its docstring, its ``__all__`` and its imports of this package."""
    text = inspect.getsource(module)
    lines, tree = text.splitlines(), ast.parse(text)
    heads = [node for node in tree.body if _is_head(node)]
    own = [node for node in ast.walk(tree) if _is_own_import(node)]
    for node in sorted(heads + own, key=lambda node: -node.lineno):
        del lines[node.lineno - 1 : node.end_lineno]
    return "\n".join(lines).strip() + "\n"


def _is_own_import(node):
    return isinstance(node, ast.ImportFrom) and node.module.startswith("fairseq_item")


def _is_head(node):
    if isinstance(node, ast.Assign):
        return getattr(node.targets[0], "id", None) == "__all__"
    return isinstance(node, ast.Expr)
