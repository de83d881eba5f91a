"""How the second views of the view contrast are drawn, for the tasks that have them."""

import logging
from dataclasses import dataclass, field

from omegaconf import II

from fairseq_item.data.item_dataset import ItemDataset
from fairseq_item.data.second_view import SecondViewDataset
from fairseq_item.data.settings import Views
from fairseq_item.data.siblings import open_siblings
from fairseq_item.tasks.product_task import AugmentedTaskConfig

logger = logging.getLogger(__name__)


@dataclass
class SecondViewsConfig(AugmentedTaskConfig):
    """Second views; none are drawn where the criterion gives their contrast no weight."""

    view_word_drop: float = field(
        default=0.35,
        metadata={"help": "share of words that the second view's title leaves out"},
    )
    view_single: float = field(
        default=0.5,
        metadata={
            "help": "share of second views with only a title or only an image; not with "
            "--separate-views, which show both one at a time"
        },
    )
    view_split: float = field(
        default=0.0,
        metadata={"help": "share of tokens that the second view's title breaks in two"},
    )
    view_light: float = field(
        default=0.0,
        metadata={
            "help": "greatest change of contrast and colours in the second view's image, as a share"
        },
    )
    view_photos: float = field(
        default=0.0,
        metadata={
            "help": "share of second views that are made of another row of the same product (equal "
            "in column product of the catalogue), where it has several; such rows are then no "
            "negatives of one another"
        },
    )
    view_contrast_weight: float = II("oc.select:criterion.view_contrast_weight,0.0")
    separate_views: bool = II("oc.select:criterion.separate_views,false")


def with_second_views(cfg, split, *args, **kwargs):
    """An :class:`ItemDataset` of these arguments; with second views where their contrast counts."""
    if not cfg.view_contrast_weight:
        return ItemDataset(*args, **kwargs)
    views = Views(
        cfg.view_word_drop,
        0.0 if cfg.separate_views else cfg.view_single,
        cfg.view_split,
        cfg.view_light,
        cfg.view_photos,
    )
    siblings = _siblings(cfg.data, split) if cfg.view_photos else None
    return SecondViewDataset(*args, views=views, siblings=siblings, **kwargs)


def _siblings(data, split):
    siblings = open_siblings(data, split)
    if not siblings.shared:  # no label is of use: train as without
        return None
    rows = len(siblings.product)
    logger.info("%d of %d rows of %s share their product", siblings.shared, rows, split)
    return siblings
