"""What our optimisers share: torch's own, under fairseq's interface."""

from fairseq.optim import FairseqOptimizer

from fairseq_item.errors import InputError


class TorchOptimizer(FairseqOptimizer):
    """A ``torch.optim`` optimiser in ``_optimizer``."""

    @property
    def supports_flat_params(self):
        return True

    def load_state_dict(self, state_dict, optimizer_overrides=None):
        """Go on from a checkpoint's state.

        Raises:
            InputError: it is of other parameters, as where an objective was added.
        """
        saved, own = (
            sum(len(group["params"]) for group in state["param_groups"])
            for state in (state_dict, self._optimizer.state_dict())
        )
        if saved != own:
            raise InputError(
                f"the checkpoint's optimiser has {saved} parameters and this training {own}, as "
                "where objectives or temperatures were added; add --reset-optimizer"
            )
        super().load_state_dict(state_dict, optimizer_overrides)
