"""Read every batch of one epoch, as training does; arguments are those of fairseq-train."""

import sys

from fairseq import options, tasks
from fairseq.dataclass.utils import convert_namespace_to_omegaconf

import fairseq_item

fairseq_item.register()
parser = options.get_training_parser("item_pretraining")
cfg = convert_namespace_to_omegaconf(options.parse_args_and_arch(parser, sys.argv[1:]))
task = tasks.setup_task(cfg.task)
task.load_dataset("train")
batches = task.get_batch_iterator(task.dataset("train"), max_sentences=128, num_workers=0)
count = sum(len(batch["id"]) for batch in batches.next_epoch_itr(shuffle=True))
assert count == len(task.dataset("train")), count
