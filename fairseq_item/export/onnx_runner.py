"""Products to embeddings with onnxruntime, sentencepiece, NumPy and Pillow alone.

Instead of sentencepiece, tokenizers where the model has a WordPiece vocabulary.

``item-export --format onnx`` writes this module, and what it needs of fairseq-item, as
``onnx_runner.py`` into the folder of the model:

    from onnx_runner import ItemRunner
    whole, title, image = ItemRunner("folder").encode(["red leather handbag"], ["bag.jpg"])

    python folder/onnx_runner.py --title "red leather handbag" --image bag.jpg
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from fairseq_item.data.augment import center_crop
from fairseq_item.data.images import ImageError, decode_image, fit_square, to_rgb
from fairseq_item.data.patches import patchify
from fairseq_item.data.titles import BOS, EOS, PAD, open_tokenizer
from fairseq_item.errors import InputError


class ItemRunner:
    """The model of an exported folder, on a CPU or what else onnxruntime is told to use.

    Args:
        folder: what item-export wrote.
        file: "model.onnx", or "model.int8.onnx" where there is one.
        threads: of onnxruntime; 0 takes one a core.
        providers: onnxruntime's execution providers.

    Attributes:
        config: dict, the content of ``config.json``.
    """

    def __init__(self, folder, file="model.onnx", threads=0, providers=("CPUExecutionProvider",)):
        import onnxruntime

        folder = Path(folder)
        self.config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.tokenizer = open_tokenizer(folder)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(
            str(folder / file), options, providers=list(providers)
        )

    def encode(self, titles=None, images=None, batch_size=64):
        """Embed products given by title, image or both.

        Args:
            titles: list of n strings, None where a product has no title; or None for no titles.
            images: list of n images: a path, a PIL image, or None; or None for no images.
            batch_size: products computed at once.

        Returns:
            (global, title, image): float32 arrays (n, d), L2-normalised; what a product lacks is
            all zeros.

        Raises:
            InputError: an image cannot be read, or the lists differ in length.
        """
        count = len(images if titles is None else titles)
        titles = [None] * count if titles is None else list(titles)
        images = [None] * count if images is None else list(images)
        if len(titles) != len(images):
            raise InputError(f"{len(titles)} titles beside {len(images)} images; give one each")
        found = [[], [], []]
        for start in range(0, count, batch_size):
            block = slice(start, start + batch_size)
            for part, rows in zip(
                found, self.session.run(None, self.inputs(titles[block], images[block]))
            ):
                part.append(rows)
        none = np.zeros((0, self.config["dim"]), np.float32)
        return tuple(np.concatenate([none, *part]) for part in found)

    def inputs(self, titles, images):
        """What the network reads of a batch: dict of arrays.

        Returns:
            ``title`` int64 (B, T): [CLS] tokens [SEP], padded; ``patches`` uint8 (B, m, p*p*3);
            ``has_image`` bool (B,).
        """
        return {
            "title": self._titles(titles),
            "patches": np.stack([self._patches(image) for image in images]),
            "has_image": np.array([image is not None for image in images]),
        }

    def _titles(self, titles):
        longest = self.config["model"]["max_title_length"]
        ids = [self.tokenizer.encode(title or "")[:longest] for title in titles]
        rows = np.full((len(ids), max(map(len, ids)) + 2), PAD, np.int64)
        for row, title in zip(rows, ids):
            row[: len(title) + 2] = [BOS, *title, EOS]
        return rows

    def _patches(self, image):
        side, patch = (self.config["model"][f"{name}_size"] for name in ("image", "patch"))
        if image is None:
            return np.zeros(((side // patch) ** 2, 3 * patch * patch), np.uint8)
        stored = self.config["stored_image_size"]
        square = fit_square(_open(image, stored), stored, self.config["fit"])
        return patchify(center_crop(np.asarray(square), side), patch)


def _open(image, target):
    """An image as RGB, from a PIL image or a path."""
    try:
        if isinstance(image, Image.Image):
            return to_rgb(image)
        return decode_image(Path(image).read_bytes(), target)
    except (OSError, ImageError) as error:
        raise InputError(f"{image} cannot be used: {error}; give another image") from None


def main(argv=None):
    """Print the embeddings of one product as JSON."""
    p = argparse.ArgumentParser(description="Embed a product with the model beside this file.")
    p.add_argument("--title")
    p.add_argument("--image")
    p.add_argument("--file", default="model.onnx", help="or model.int8.onnx")
    args = p.parse_args(argv)
    runner = ItemRunner(Path(__file__).parent, args.file)
    parts = runner.encode([args.title], [args.image])
    names = ("global", "title", "image")
    values = {name: part[0].tolist() for name, part in zip(names, parts)}
    sys.stdout.write(json.dumps(values) + "\n")


if __name__ == "__main__":
    main()
