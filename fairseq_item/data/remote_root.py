"""Images of an object store, read one by one by the names that a catalogue gives them."""

from fairseq_item.data.image_root import MAX_BYTES, ImageRoot, check_size, inside
from fairseq_item.remote import filesystem, is_url, reaching


class RemoteRoot:
    """As :class:`ImageRoot`, of a URL that images lie below. (A tar is better copied first.)

    Connections are made where they are used, so that it can go to other processes and machines.

    Attributes:
        path: the URL.
    """

    def __init__(self, url):
        self.path = url.rstrip("/")
        fs, folder = filesystem(self.path)
        with reaching(self.path):
            fs.ls(folder)  # that it is not there, or may not be read, is found before any work

    def state(self):
        """What a description of work done with these images holds of them: list."""
        return [self.path]

    def read(self, name):
        """The bytes of the file ``name``.

        Raises:
            KeyError: there is no such file, or it is too large; its argument is the reason.
            InputError: the store cannot be reached: no reason to do without the image.
        """
        key = inside(name)
        fs, folder = filesystem(self.path)
        with reaching(f"{self.path}/{key}"):
            try:
                data = fs.cat_file(f"{folder}/{key}", end=MAX_BYTES + 1)
            except (FileNotFoundError, IsADirectoryError):
                data = None
        if data is None:
            raise KeyError("missing")
        check_size(len(data))
        return data

    def names(self):
        """Yield the names of all files, in sorted order."""
        fs, folder = filesystem(self.path)
        with reaching(self.path):
            found = fs.find(folder)
        yield from sorted(path.removeprefix(folder).lstrip("/") for path in found)


def open_root(path):
    """An :class:`ImageRoot` of a path, a :class:`RemoteRoot` of a URL."""
    return RemoteRoot(str(path)) if is_url(path) else ImageRoot(path)
