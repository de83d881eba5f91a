"""Images in tensorboard (``--log-patches``): what the model sees of products, what it makes of what
is hidden, and what is there."""

import logging
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

import numpy as np
import torch
import torch.distributed as dist
from omegaconf import II

from fairseq_item.data.patches import unpatchify
from fairseq_item.data.settings import check_range
from fairseq_item.errors import InputError

logger = logging.getLogger(__name__)
TAG = "seen, from patches (MIM), from [CLS] (GMIM), true"
HIDDEN = 0.5  # grey, of patches that the model does not see
GAP = 4  # white pixels between images


@dataclass
class PatchImagesConfig:
    """How many products are shown."""

    log_patches: int = field(
        default=0,
        metadata={
            "help": "at each validation, write this many products to --tensorboard-logdir: as "
            "seen, with the masked patches reconstructed, and as they are; 0: none"
        },
    )
    tensorboard_logdir: Optional[str] = II("common.tensorboard_logdir")


class ShowsPatches:
    """A pre-training task whose configuration is a :class:`PatchImagesConfig`, besides what it is.

    The products are spread over the valid split, masked in the same way at each validation. One
    process writes; no random number is drawn.
    """

    _updates = 0
    _writer = None

    def train_step(
        self, sample, model, criterion, optimizer, update_num, ignore_grad=False, **extra
    ):
        self._updates = update_num + 1
        return super().train_step(
            sample, model, criterion, optimizer, update_num, ignore_grad, **extra
        )

    def begin_epoch(self, epoch, model):
        super().begin_epoch(epoch, model)
        self._check_log_patches()  # before the first update

    def begin_valid_epoch(self, epoch, model):
        super().begin_valid_epoch(epoch, model)
        self._check_log_patches()
        count = self.cfg.log_patches
        if count and self.sees_images and not (dist.is_initialized() and dist.get_rank()):
            start = time.perf_counter()
            dataset = next(d for name, d in self.datasets.items() if not name.startswith("train"))
            self._open_writer().add_image(
                TAG, draw(model, dataset, count), self._updates, dataformats="HWC"
            )
            self._writer.flush()
            logger.info("patch images took %.2f seconds", time.perf_counter() - start)

    def _check_log_patches(self):
        check_range("--log-patches", self.cfg.log_patches, 0, 1000)
        if self.cfg.log_patches and not self.cfg.tensorboard_logdir:
            raise InputError("--log-patches writes to tensorboard; give --tensorboard-logdir, too")

    def _open_writer(self):
        if self._writer is None:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                raise InputError(
                    "tensorboard is missing; run pip install 'fairseq-item[tensorboard]'"
                ) from None
            self._writer = SummaryWriter(str(Path(self.cfg.tensorboard_logdir) / "patches"))
        return self._writer


def spread(count, size):
    """``count`` of ``size`` rows, or all, the first and the last among them: list of int."""
    return np.linspace(0, size - 1, min(count, size)).astype(int).tolist()


@torch.no_grad()
def draw(model, dataset, count):
    """Some products of a dataset below one another, each as four images: see ``TAG``.

    Args:
        model: ITEm; it is in evaluation mode while this runs.
        dataset: ``ItemDataset`` with masked patches.
        count: products, at most; see :func:`spread`.

    Returns:
        float32 (height, width, 3) in [0, 1].
    """
    batch = dataset.collater(dataset.__getitems__(spread(count, len(dataset))))
    device, was_training = next(model.parameters()).device, model.training
    inputs = {name: value.to(device) for name, value in batch["net_input"].items()}
    model.eval()
    predictions = model(**inputs)
    model.train(was_training)
    true = inputs["patches"].float() / 255
    seen, mim, gmim = (true.clone() for _ in range(3))
    seen.flatten(0, 1)[inputs["hidden_patches"]] = HIDDEN
    for filled, pixels in ((mim, predictions.mim), (gmim, predictions.gmim)):
        filled.flatten(0, 1)[inputs["masked_patches"]] = pixels.clamp(0, 1)
    side = dataset.geometry.patch_size
    columns = [
        [unpatchify(product, side) for product in images.cpu().numpy()]
        for images in (seen, mim, gmim, true)
    ]
    return np.concatenate([_row(images) for images in zip(*columns)])[:-GAP]


def _row(images):
    """Images side by side, with a gap between and below them."""
    framed = [np.pad(image, ((0, GAP), (0, GAP), (0, 0)), constant_values=1) for image in images]
    return np.concatenate(framed, axis=1)[:, :-GAP]
