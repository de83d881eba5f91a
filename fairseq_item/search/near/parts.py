"""Long work cut into parts, whose results are files: what is there is not done again."""

import json
from pathlib import Path

import numpy as np

from fairseq_item.errors import InputError
from fairseq_item.files import atomic_path
from fairseq_item.progress import progress


class Parts:
    """A folder of results, arrays in ``NAME-NUMBER.npy``; ``plan.json`` says what of.

    Args:
        folder: is there.
        plan: JSON values: all that the results depend on.
        map_in_order: function of a function and inputs that yields the results in order.

    Raises:
        InputError: the folder holds parts of another plan, or other things.
    """

    def __init__(self, folder, plan, map_in_order):
        self.folder, self._map = Path(folder), map_in_order
        said, text = self.folder / "plan.json", json.dumps(plan, indent=2, sort_keys=True) + "\n"
        if not said.exists() and all(path.name == ".lock" for path in self.folder.iterdir()):
            with atomic_path(said) as path:
                path.write_text(text, encoding="utf-8")
        if not said.exists() or said.read_text(encoding="utf-8") != text:
            raise InputError(
                f"{self.folder} holds other things than the parts of this run; remove it, or name "
                "another folder"
            )

    def made(self, name, function, inputs):
        """Yield the arrays of all parts, in order; what is missing is made first.

        Args:
            name: of these parts.
            function: from an input to an array.
            inputs: sequence.
        """
        paths = [self.folder / f"{name}-{number:06}.npy" for number in range(len(inputs))]
        missing = [number for number, path in enumerate(paths) if not path.exists()]
        results = self._map(function, (inputs[number] for number in missing))
        for number, array in progress(zip(missing, results), name, len(missing), "part"):
            _write(paths[number], array)
        for path in paths:
            yield np.load(path)

    def joined(self, name, function, inputs):
        """The arrays of :meth:`made` one after the other in one file: its path."""
        path = self.folder / f"{name}.npy"
        if not path.exists():
            _write(path, np.concatenate(list(self.made(name, function, inputs))))
        return path


def _write(path, array):
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.save(file, array)
