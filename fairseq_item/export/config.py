"""``config.json`` of a folder that item-export wrote, and whether its files are those it names."""

import hashlib
import json
from pathlib import Path

from fairseq_item.data.image_store_meta import LARGEST as LARGEST_IMAGE
from fairseq_item.data.images import FITS
from fairseq_item.data.titles import TOKENIZERS
from fairseq_item.errors import InputError

FORMAT, VERSION = "fairseq-item", 1
CONFIG, CARD, WEIGHTS, TRANSFORMS = (
    "config.json",
    "README.md",
    "model.safetensors",
    "transforms.safetensors",
)
VOCABULARY = ("dict.txt", *TOKENIZERS)  # one of the tokenizers
ONNX = ("model.onnx", "model.int8.onnx", "onnx_runner.py")
SENTENCE_TRANSFORMERS = ("modules.json", "config_sentence_transformers.json")
FILES = {CONFIG, CARD, WEIGHTS, TRANSFORMS, *VOCABULARY, *ONNX, *SENTENCE_TRANSFORMERS}
LONGEST = 16 << 20  # bytes of config.json; thousands of leaf categories are in it
MEND = "run item-export again"


def is_export(folder):
    """Whether item-export wrote this folder."""
    try:
        return read_config(folder)["format"] == FORMAT
    except InputError:
        return False


def read_config(folder):
    """``config.json`` of an exported folder.

    Raises:
        InputError: it is missing, damaged, too large, or of another version.
    """
    path = Path(folder) / CONFIG
    try:
        if path.stat().st_size > LONGEST:
            raise InputError(f"{path} has more than {LONGEST} bytes; {MEND}")
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); {MEND}") from None
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} is damaged ({reason}); {MEND}") from None
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise InputError(f"{path} was not written by item-export; name another folder")
    if config.get("version") != VERSION:
        raise InputError(
            f"{path} has version {config.get('version')}, this program reads {VERSION}; {MEND}"
        )
    categories = config.get("categories") or []
    right = {
        "digest": isinstance(config.get("digest"), str),
        "model": isinstance(config.get("model"), dict),
        "files": isinstance(config.get("files"), dict),
        "fit": config.get("fit") in FITS,
        "stored_image_size": config.get("stored_image_size") in range(1, LARGEST_IMAGE + 1),
        "categories": isinstance(categories, list) and all(isinstance(c, str) for c in categories),
    }
    for name, is_right in right.items():
        if not is_right:
            raise InputError(f"{path} is damaged ({name} is missing or wrong); {MEND}")
    return config


def check_files(folder, config):
    """Refuse files that are missing or not those that ``config.json`` was written for."""
    for name, digest in config["files"].items():
        path = folder / Path(name).name
        if not path.is_file():
            raise InputError(f"{path} is missing; {MEND}")
        if digest_of(path) != digest:
            raise InputError(f"{path} is not the file that {CONFIG} was written for; {MEND}")


def digest_of(path):
    """SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
