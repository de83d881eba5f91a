"""Takes up an index that was rebuilt, while the old one answers."""

import logging
from threading import Lock

from fairseq_item.errors import InputError
from fairseq_item.serve.engine import Engine, Settings, state_of

logger = logging.getLogger(__name__)


class Served:
    """What is served now. Whoever took ``engine`` goes on with it when another takes its place.

    Args:
        settings: ``Settings``.
        told: function of "taken" or "refused", called when the index changed; None for none.

    Attributes:
        engine: ``Engine``, opened anew by :meth:`check`.

    Raises:
        InputError: as of ``Engine.open``.
    """

    def __init__(self, settings: Settings, told=None):
        self.settings, self.told = settings, told
        self.engine = Engine.open(settings)
        self._refused, self._lock = None, Lock()

    def check(self, again: bool = False) -> bool:
        """Look whether the index folder changed, and serve the new one if it is whole.

        Args:
            again: whether to try one that was refused once more.

        Returns:
            bool: whether another engine serves now. A damaged index is logged and left alone
            until its description changes again.
        """
        with self._lock:
            state = state_of(*self.settings.indexes)
            refused = None if again else self._refused
            if state in (None, self.engine.state, refused):
                return False
            try:
                engine = Engine.open(self.settings, self.engine)
            except Exception as error:  # whatever is wrong with it, the old one goes on
                self._refused = state
                reason = error if isinstance(error, InputError) else repr(error)
                logger.warning("the new index is refused, the old one is kept: %s", reason)
                self._tell("refused")
                return False
            self.engine, self._refused = engine, None
            logger.info("the index %s of %d items is served now", engine.digest, len(engine))
            self._tell("taken")
            return True

    def _tell(self, result):
        if self.told is not None:
            self.told(result)
