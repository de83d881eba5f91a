"""What all tasks share: a data-bin, its dictionary and images, and a model folder that stands
alone."""

import filecmp
import logging
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

import torch
import torch.distributed as dist
from fairseq.dataclass import FairseqDataclass
from fairseq.tasks import FairseqTask
from omegaconf import II, MISSING

from fairseq_item.data.dictionary import load_dictionary
from fairseq_item.data.image_store import ImageStore, read_meta
from fairseq_item.data.item_dataset import Augmentation, Geometry
from fairseq_item.data.sharded import open_split, shard_names
from fairseq_item.data.titles import TOKENIZERS
from fairseq_item.data.token_store import TokenStore, vocabulary_digests
from fairseq_item.errors import InputError, end_input_errors_with_one_line
from fairseq_item.files import atomic_path, hold_folder
from fairseq_item.models.checkpoint import check_vocabulary, read_checkpoint
from fairseq_item.models.pretrained_start import start, starts
from fairseq_item.modules.precision import resolve_compute_dtype
from fairseq_item.old_checkpoints import rename_settings
from fairseq_item.tasks.prefetching import end_prefetching_at_exit
from fairseq_item.tasks.restoring import check_settings, check_start, given, restored_from
from fairseq_item.tasks.saving import refuse_update, say_why_checkpoints_fail

logger = logging.getLogger(__name__)


@dataclass
class ProductTaskConfig(FairseqDataclass):
    """The data and what the model sees of it."""

    data: str = field(default=MISSING, metadata={"help": "the data-bin folder"})
    # fairseq-validate knows of no model before it has read the checkpoint, which then says these.
    image_size: Optional[int] = II("oc.select:model.image_size,null")
    patch_size: Optional[int] = II("oc.select:model.patch_size,null")
    max_title_length: Optional[int] = II("oc.select:model.max_title_length,null")
    seed: int = II("common.seed")
    save_dir: str = II("checkpoint.save_dir")
    no_save: bool = II("checkpoint.no_save")
    restore_file: str = II("checkpoint.restore_file")
    finetune_from_model: Optional[str] = II("checkpoint.finetune_from_model")
    cpu: bool = II("common.cpu")
    # Batches, masks and mismatches are drawn anew in each epoch; fairseq's other settings would
    # freeze them at the first epoch's.
    rebuild_batches: bool = True
    reuse_dataloader: bool = False
    persistent_workers: bool = False


@dataclass
class AugmentedTaskConfig(ProductTaskConfig):
    """How images are augmented in training."""

    crop_min_scale: float = field(
        default=0.6, metadata={"help": "smallest share of the area that a training crop keeps"}
    )
    flip_prob: float = field(default=0.5, metadata={"help": "share of images that are mirrored"})


class ProductTask(FairseqTask):
    """A task on one data-bin (formats: the README).

    Raises:
        InputError: the data-bin lacks a file, or a setting is out of range.
    """

    def __init__(self, cfg, dictionary):
        super().__init__(cfg)
        self.dictionary = dictionary
        self.sees_images = True  # until a model is built that does not
        # The task's state is kept in the checkpoint: images met later, away from the data-bin,
        # have to be prepared in the same way.
        self.state.merge_state_dict(_preparation(cfg.data))
        self.state.merge_state_dict({"vocabulary": vocabulary_digests(self.vocabulary)})

    @classmethod
    def setup_task(cls, cfg, **kwargs):
        end_input_errors_with_one_line()
        end_prefetching_at_exit()
        say_why_checkpoints_fail()
        path = Path(cfg.data) / "title" / "dict.txt"
        if not path.exists():
            raise InputError(f"{path} is missing; run preprocess/train_bpe.py")
        return cls(cfg, load_dictionary(path))

    @property
    def vocabulary(self):
        """The folder of the dictionary and the tokenizer."""
        return Path(self.cfg.data) / "title"

    @property
    def source_dictionary(self):
        return self.dictionary

    @property
    def target_dictionary(self):
        return self.dictionary

    def max_positions(self):
        return None

    def build_model(self, cfg, from_checkpoint=False):
        """Build a model; ``cfg``, which goes into its checkpoints, is brought up to date.

        ``--compute-dtype auto`` is replaced by what it stands for: when training resumes by what
        it stood for before, so that it goes on as it began.
        """
        rename_settings(cfg)
        if not from_checkpoint:
            self._hold_save_dir()
        resumed = None if from_checkpoint else self._check_resumed(cfg)
        if str(getattr(cfg, "compute_dtype", None)) == "auto":
            cfg.compute_dtype = _dtype(resumed) or resolve_compute_dtype(
                cfg, "cpu" if self.cfg.cpu or not torch.cuda.is_available() else "cuda"
            )
        model = super().build_model(cfg, from_checkpoint)
        self.sees_images = getattr(model, "sees_images", True)
        if starts(cfg) and not from_checkpoint and resumed is None:
            start(model, cfg, self.dictionary)
        return model

    def _hold_save_dir(self):
        """Let no other training write to the same folder; of several processes the first holds it.

        Raises:
            InputError: another one does; its process is named.
        """
        first = not dist.is_initialized() or dist.get_rank() == 0
        if first and not self.cfg.no_save and given(self.cfg, "save_dir"):
            hold_folder(self.cfg.save_dir)

    def _check_resumed(self, cfg):
        """What training resumes from: a checkpoint that was read and fits, None without one.

        Raises:
            InputError: it is damaged, or of another vocabulary, other sizes or other categories.
        """
        checkpoint, start = restored_from(self.cfg), given(self.cfg, "finetune_from_model")
        if checkpoint is None:
            if start:
                check_start(start, self.vocabulary / "dict.txt")
            return None
        state = read_checkpoint(checkpoint)
        self.check_kept(state, checkpoint)
        check_settings(state, cfg, checkpoint)
        return state

    def check_kept(self, state, checkpoint):
        """Refuse to go on from what was trained on other data.

        Args:
            state: of ``read_checkpoint``.
            checkpoint: for the message.

        Raises:
            InputError: its vocabulary is another one.
        """
        check_vocabulary(state, self.vocabulary, checkpoint)

    def load_state_dict(self, state_dict):
        """Take what a checkpoint keeps, once it was compared: fairseq-validate comes here."""
        self.check_kept({"task_state": state_dict}, "the checkpoint")
        super().load_state_dict(state_dict)

    def geometry(self):
        return Geometry(self.cfg.image_size, self.cfg.patch_size, self.cfg.max_title_length)

    def titles(self, split):
        return open_split(self.cfg.data, split, "title", TokenStore)

    def images(self, split):
        return open_split(self.cfg.data, split, "image", ImageStore)

    def sampling(self, split):
        """Settings of a split's dataset: shuffled and drawn anew each epoch only for training."""
        training = split.startswith("train")
        return {"seed": self.cfg.seed, "fixed": not training, "shuffle": training}

    def augmentation(self, split):
        """How a split's images are augmented: those of training alone."""
        if not split.startswith("train"):
            return None
        return Augmentation((self.cfg.crop_min_scale, 1.0), self.cfg.flip_prob)

    def begin_epoch(self, epoch, model):
        """Put the dictionary and the tokenizer beside the checkpoints, which then stand alone.

        Raises:
            InputError: files of another vocabulary lie there.
        """
        if self.cfg.no_save:
            return
        for name in ("dict.txt", *TOKENIZERS):
            source = Path(self.cfg.data) / "title" / name
            target = Path(self.cfg.save_dir) / name
            if not source.exists():
                continue
            # Every process may come here; each puts the same whole file in place.
            if not target.exists():
                with atomic_path(target) as temporary:
                    shutil.copyfile(source, temporary)
            elif not filecmp.cmp(source, target, shallow=False):
                raise InputError(f"{target} differs from {source}; choose another --save-dir")

    def train_step(
        self, sample, model, criterion, optimizer, update_num, ignore_grad=False, **extra
    ):
        """As fairseq's; of an update that failed, which it computes again, say where.

        Raises:
            InputError: in place of fairseq's FloatingPointError.
        """
        result = super().train_step(
            sample, model, criterion, optimizer, update_num, ignore_grad, **extra
        )
        # fairseq looks for what is not finite through hooks, and only then.
        if getattr(model, "module", model)._forward_hooks:
            refuse_update(result[2], sample, update_num)
        return result

    def get_checkpoint_dict(self):
        """Put into the checkpoint what fairseq forgets: how long ``--patience`` has waited."""
        seen = vars(_early_stopping())
        return {type(self).__name__: {k: seen[k] for k in ("best", "num_runs") if k in seen}}

    def set_checkpoint_dict(self, kept):
        """Go on waiting where the checkpoint left off."""
        vars(_early_stopping()).update(kept)


def _dtype(state):
    """The precision of a checkpoint that training resumes from; None without one."""
    kept = state and state["cfg"]["model"].get("compute_dtype")
    if kept:
        logger.info("--compute-dtype auto is %s, as in the checkpoint", kept)
    return kept


def _early_stopping():
    """fairseq's function that stops early; it counts in its own attributes."""
    main = sys.modules["__main__"]  # python -m fairseq_cli.train
    if not hasattr(main, "should_stop_early"):
        import fairseq_cli.train as main
    return main.should_stop_early


def _preparation(data):
    """How the training images of a data-bin were brought to a square, and how many products there
    are; {} without images."""
    try:
        metas = [read_meta(Path(data) / "image" / name) for name in shard_names(data, "train")]
    except InputError:
        return {}
    products = sum(meta.count for meta in metas)
    return {
        "stored_image_size": metas[0].image_size,
        "fit": metas[0].fit,
        "products": products,
    }
