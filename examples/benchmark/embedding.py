"""Embedding products with a trained model: products a second of what ``item-embed`` computes.

The first table is of the models alone: from batches of uint8 patches and padded titles to
normalised vectors in NumPy, in inference mode, by our model, Hugging Face's ViLT (the mean over its
last layer's title and patches, and its [CLS]) and CLIP (``transformers.CLIPModel``: a tower of the
same size for each modality). Images come as patches for ours, and as patches that are put
together and scaled for the others, as their image processors would.

The second table is of whole programs, from the catalogue's files to the vectors, beside
sentence-transformers' CLIP: see ``end_to_end.py``. Weights are random in both.
"""

import tempfile

import sentence_clip
import torch
from bench import Report, alternate
from end_to_end import Catalogue, measure
from rivals import batch, config, item, parse, parser, to_device, transformers, vilt_body
from torch import nn

from fairseq_item.commands.common import run
from fairseq_item.models import item as architectures
from fairseq_item.models.hub_interface import ItemHubInterface
from fairseq_item.models.resnet import whole_images
from fairseq_item.modules.pooling import mean_of_tokens

BATCHES = {"item_tiny": 128, "item_small": 64, "item_base": 8}
GPU_BATCH = 512
# Whole programs are slower by far: fewer turns of two batches each.
BATCHES_END_TO_END, MOST_REPEATS_END_TO_END = 2, 3
QUICK = {"encoder_layers": 2, "encoder_embed_dim": 32, "encoder_attention_heads": 2}
SPECIAL = (1, 0, 2)  # padding, [CLS], [SEP]


def ours(cfg):
    """Our model behind the interface that ``item-embed`` uses."""
    whole = type("Whole", (), {"model": cfg})
    return ItemHubInterface(item(cfg), whole, None, None, None, cfg.image_size, "pad")


class Rival(nn.Module):
    """Another library's model that embeds the same batches.

    Args:
        cfg: our configuration, for its sizes.
        body: the library's model.
    """

    def __init__(self, cfg, body):
        super().__init__()
        self.cfg, self.body = cfg, body.eval()

    def embed(self, title, patches):
        low = self.cfg.compute_dtype == "bfloat16"
        with torch.inference_mode():
            whole = whole_images(patches, self.cfg.patch_size, self.cfg.image_size)
            with torch.autocast(title.device.type, torch.bfloat16, enabled=low):
                parts = self.parts(title, (title != SPECIAL[0]).long(), whole)
            return [nn.functional.normalize(p.float(), dim=-1).cpu().numpy() for p in parts]


class Vilt(Rival):
    """ViLT, read as ours is."""

    def parts(self, title, mask, whole):
        states = self.body(input_ids=title, attention_mask=mask, pixel_values=whole)
        states, words = states.last_hidden_state, title.size(1)
        image = states[:, words + 1 :].float().mean(1)
        return states[:, 0], mean_of_tokens(states[:, :words], title, SPECIAL), image


class Clip(Rival):
    """Both towers of CLIP: an embedding each."""

    def parts(self, title, mask, whole):
        found = self.body(input_ids=title, attention_mask=mask, pixel_values=whole)
        return found.text_embeds, found.image_embeds


def contestants(cfg, device):
    """name -> what embeds; those of a library that is missing are left out."""
    torch.manual_seed(1)
    found = {"item": ours(cfg)}
    library = transformers()
    if library:
        found["ViLT"] = Vilt(cfg, vilt_body(cfg, library))
        found["CLIP"] = Clip(cfg, sentence_clip.clip_body(cfg, library))
    return {name: model.to(device) for name, model in found.items()}


def main(argv=None):
    """Entry point."""
    about = "Measure embedding beside Hugging Face's ViLT and CLIP of equal size."
    args = parse(parser(about, "the tables and their JSON"), argv)
    models(args).write(args.out)
    with tempfile.TemporaryDirectory(prefix="embedding-") as work:
        end_to_end(args, work).write(args.out)


def models(args):
    """The models alone: a :class:`Report`."""
    report = Report("embedding", "products")
    for size, cfg in configurations(args):
        count = batch_size(args, size)
        inputs = to_device(batch(cfg, count)["net_input"], args.device)
        calls = {
            name: lambda model=model, inputs=inputs: model.embed(**inputs)
            for name, model in contestants(cfg, args.device).items()
        }
        group = f"{size} {cfg.compute_dtype}"
        for name, seconds in alternate(calls, 1 if args.quick else args.repeats).items():
            report.add(f"{group} {name}", count, seconds, group, batch=count)
    return report


def end_to_end(args, work):
    """From a catalogue's files to vectors: a :class:`Report`; ``work`` is an empty folder."""
    report, rival = Report("embedding-end-to-end", "products"), sentence_clip.is_here()
    chosen = configurations(args)
    most = max(BATCHES_END_TO_END * batch_size(args, size) for size, _ in chosen)
    catalogue = Catalogue(work, most)
    repeats = 1 if args.quick else min(args.repeats, MOST_REPEATS_END_TO_END)
    for size, cfg in chosen:
        per_batch = batch_size(args, size)
        count = BATCHES_END_TO_END * per_batch
        measure(report, catalogue, cfg, size, count, per_batch, repeats, args.device, rival)
    return report


def configurations(args):
    """Pairs of a size's name and its configuration, one for each precision."""
    small = QUICK if args.quick else {}
    return [
        (size, config(getattr(architectures, size), compute_dtype=dtype, **small))
        for size in (["item_tiny"] if args.quick else args.sizes.split(","))
        for dtype in args.dtypes.split(",")
    ]


def batch_size(args, size):
    """Products computed at once."""
    default = GPU_BATCH if args.device == "cuda" else BATCHES[size]
    return args.batch_size or (8 if args.quick else default)


if __name__ == "__main__":
    run(main)
