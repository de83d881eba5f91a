"""Which precision a model computes in: measured on a CPU, for processors' flags do not tell."""

import logging
import time

import torch
import torch.distributed as dist
import torch.nn.functional as F

logger = logging.getLogger(__name__)

# bfloat16 has to win by this much: float32 is the more exact one, and must not change by chance.
WORTH_ROUNDING = 1.1
ROWS, TURNS = 1024, 5


def resolve_compute_dtype(cfg, device):
    """The precision that ``--compute-dtype`` stands for here.

    ``auto`` is bfloat16 on a GPU that has it. On a CPU the matrix products of a layer of the
    model's width are timed in both precisions for a moment, and the faster one is taken; that is
    logged. Processes that train together agree: float32 if any of them finds it faster. No random
    number is drawn.

    Args:
        cfg: a model's configuration, with ``compute_dtype`` and where it has them
            ``encoder_embed_dim`` and ``encoder_ffn_embed_dim``.
        device: where the model will compute, a ``torch.device`` or its name.

    Returns:
        "float32" or "bfloat16".
    """
    if str(cfg.compute_dtype) != "auto":
        return str(cfg.compute_dtype)
    device = torch.device(device)
    if device.type == "cuda":
        low = _all_agree(torch.cuda.is_bf16_supported(including_emulation=False), device)
        why = "this GPU has it" if low else "this GPU has no bfloat16"
    else:
        dim = getattr(cfg, "encoder_embed_dim", 256)
        seconds = measure(dim, getattr(cfg, "encoder_ffn_embed_dim", 4 * dim))
        low = _all_agree(seconds["float32"] > WORTH_ROUNDING * seconds["bfloat16"], device)
        why = "a layer's matrix products take {:.1f} ms in float32, {:.1f} in bfloat16".format(
            *(1000 * seconds[name] for name in ("float32", "bfloat16"))
        )
    chosen = "bfloat16" if low else "float32"
    logger.info("--compute-dtype auto is %s: %s", chosen, why)
    return chosen


def measure(dim, ffn_dim):
    """Seconds of a feed-forward block's products, forward and backward, on the CPU: a dict.

    Args:
        dim, ffn_dim: widths of the model and of the block.
    """
    x = torch.full((ROWS, dim), 0.5)
    weights = [
        torch.full(shape, 0.01, requires_grad=True) for shape in ((ffn_dim, dim), (dim, ffn_dim))
    ]
    best = dict.fromkeys(("float32", "bfloat16"), float("inf"))
    for turn in range(-1, TURNS):  # the first one still loads kernels
        for name in best:
            start = time.perf_counter()
            with torch.autocast("cpu", torch.bfloat16, enabled=name == "bfloat16"):
                y = F.linear(F.linear(x, weights[0]), weights[1])
            torch.autograd.grad(y.sum(), weights)
            if turn >= 0:
                best[name] = min(best[name], time.perf_counter() - start)
    return best


def _all_agree(low, device):
    """Whether ``low`` is true in all processes that train together."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return low
    here = device if dist.get_backend() == "nccl" else "cpu"
    agreed = torch.tensor(int(low), device=here)
    dist.all_reduce(agreed, dist.ReduceOp.MIN)
    return bool(agreed)
