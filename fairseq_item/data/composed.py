"""Products put together from others, or of which the title or the image was taken away."""

import numpy as np
import torch
from torch.utils.data import Dataset

NONE = -1  # in place of a row: the product has no title, or no image


class Composed(Dataset):
    """Products put together from the titles of some rows of a dataset and the images of others.

    Args:
        dataset: ``ItemDataset`` of plain products.
        titles, images: (n,) rows of ``dataset``, or ``NONE``; not both for one product.
    """

    def __init__(self, dataset, titles, images):
        self.dataset, self.titles, self.images = dataset, titles, images

    def __len__(self):
        return len(self.titles)

    def __getitem__(self, i):
        title, image = int(self.titles[i]), int(self.images[i])
        sample = dict(self.dataset[title if image == NONE else image])
        sample["has_image"] = image != NONE
        if image == NONE:
            sample["patches"] = torch.zeros_like(sample["patches"])
        elif title == NONE:
            sample["title"] = sample["title"][:0]
        elif title != image:
            sample["title"] = self.dataset[title]["title"]
        return sample

    def collater(self, samples):
        """As of ``ItemDataset``; ``net_input`` also has ``has_image`` if one lacks its image."""
        batch = self.dataset.collater(samples)
        has_image = [sample["has_image"] for sample in samples]
        if not all(has_image):
            batch["net_input"]["has_image"] = torch.tensor(has_image)
        return batch


def only(dataset, modality):
    """The products of ``dataset`` by their "title" or their "image" alone: :class:`Composed`."""
    rows = np.arange(len(dataset))
    none = np.full(len(dataset), NONE)
    return Composed(dataset, *((rows, none) if modality == "title" else (none, rows)))
