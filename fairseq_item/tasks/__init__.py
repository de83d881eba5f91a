"""Registered tasks.

fairseq imports ``tasks/`` and ``models/`` of a user directory but not the rest, so the criterions
and optimisers are imported here as well.
"""

import fairseq_item.criterions
import fairseq_item.optim
import fairseq_item.tasks.clip_pretraining
import fairseq_item.tasks.item_classification
import fairseq_item.tasks.item_pretraining
import fairseq_item.tasks.title_pretraining  # noqa: F401
