"""What checkpoints of version 0.1 called otherwise: the one place that knows the old names."""

from omegaconf import OmegaConf, open_dict

STATE = {  # of modules and parameters
    "log_scale": "logit_scale",
    "picture": "image",
    "picture_projection": "image_projection",
}
CONFIG = {"without_pictures": "without_images"}


def rename_keys(state, prefix=""):
    """Give the keys of a state dict that follow ``prefix`` their present names, in place."""
    for key in [key for key in state if key.startswith(prefix)]:
        first, dot, rest = key.removeprefix(prefix).partition(".")
        if first in STATE:
            state[prefix + STATE[first] + dot + rest] = state.pop(key)


def rename_settings(cfg):
    """Give the settings of a model's configuration their present names, in place."""
    if not OmegaConf.is_config(cfg):
        return
    with open_dict(cfg):
        for old, new in CONFIG.items():
            if old in cfg:
                cfg[new] = cfg.pop(old)
