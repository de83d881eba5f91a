"""Imports what an environment should have, beside one another; exit status 1 if one fails.

python scripts/check_venv.py
"""

import importlib.util
import logging
import sys
import warnings

NEEDED = ("torch", "torchvision", "fairseq")
# Of extras: whole or not there at all.
OPTIONAL = ("torchaudio", "transformers", "sentence_transformers")


def failures(needed=NEEDED, optional=OPTIONAL):
    """What cannot be imported: list of "name: reason".

    Args:
        needed, optional: names of modules; an optional one may be missing.
    """
    found = []
    for name in (*needed, *(n for n in optional if importlib.util.find_spec(n))):
        try:
            importlib.import_module(name)
            if name == "transformers":  # which imports most of itself later
                from transformers import AutoModel, AutoProcessor  # noqa: F401
        except Exception as error:  # whatever the import of another's module raises
            found.append(f"{name}: {' '.join(str(error).split()) or type(error).__name__}")
    return found


def main():
    """Check this environment."""
    warnings.simplefilter("ignore")
    logging.disable()
    import fairseq_item

    found = failures()
    fairseq_item.register()
    for line in found:
        sys.stderr.write(f"error: {line}\n")
    if found:
        sys.stderr.write(
            "torch and torchvision have to be of one build: name an index that has both with "
            "TORCH_INDEX, remove the environment and set it up again\n"
        )
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
