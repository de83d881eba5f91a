"""Photos that lie in a folder or tar already, found by what addresses end in."""

from collections import defaultdict
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit


class LocalImages:
    """The files of an image root, by name.

    Args:
        names: all file names under the root, ``ImageRoot.names()``.
    """

    def __init__(self, names):
        self._paths = defaultdict(list)
        for name in names:
            self._paths[PurePosixPath(name).name].append(name)

    def find(self, address):
        """The file that an address, or a path, names.

        Of several files of one name it is the one whose folders agree with the address's last ones.

        Returns:
            str: its name under the root; None where there is none, or several that agree equally.
        """
        path = PurePosixPath(unquote(urlsplit(address).path))
        found = self._paths.get(path.name, [])
        if len(found) > 1:
            wanted = path.parts[::-1]
            agree = [_agreement(PurePosixPath(name).parts[::-1], wanted) for name in found]
            found = [name for name, parts in zip(found, agree) if parts == max(agree)]
        return found[0] if len(found) == 1 else None


def _agreement(parts, others):
    count = 0
    for part, other in zip(parts, others):
        if part != other:
            break
        count += 1
    return count
