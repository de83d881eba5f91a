"""Where a catalogue's images lie: a folder or an uncompressed tar."""

import os
import platform
import posixpath
import stat
import tarfile
from pathlib import Path

from fairseq_item.errors import InputError
from fairseq_item.files import MACHINE

MAX_BYTES = 256 * 2**20


class ImageRoot:
    """Reads image files by the names that a catalogue gives them.

    A tar is scanned once, header by header, and then read by offset with ``os.pread``, which
    neither moves nor shares a file position: forked workers may use one ``ImageRoot`` together,
    and a pickled one opens the tar again on its own.

    Names are relative to the root. Those that lead out of it (absolute, or through ``..``) count
    as missing; symbolic links that the owner of a folder put into it are followed.

    Args:
        path: a folder or an uncompressed tar file.

    Raises:
        InputError: the path is missing, or is neither a folder nor a whole, uncompressed tar.
            ``read`` raises it where the folder itself is gone.
    """

    def __init__(self, path):
        self.path = Path(path)
        self._descriptor = None
        self._members = self._witness = None
        if not self.path.exists():
            raise InputError(f"{path} is missing; name a folder of images or a tar of them")
        self._folder, self._machine = _identity(self.path), MACHINE
        if self.path.is_dir():
            self._witness = _any_name(self.path)
            return
        if not self.path.is_file():  # a pipe, say, whose writer would be waited for
            raise InputError(f"{path} is no file; name a folder of images or a tar of them")
        self._members = _scan_tar(self.path)

    def state(self):
        """What a description of work done with these images holds of them: list.

        The images are not read: a tar stands for itself by path, size and time of change, a
        folder by its path.
        """
        path = self.path.resolve()
        status = path.stat()
        return [str(path), *([status.st_size, status.st_mtime_ns] * path.is_file())]

    def read(self, name):
        """The bytes of the file ``name``.

        Raises:
            KeyError: there is no such file, or it cannot be read; its argument is the reason.
        """
        key = inside(name)
        return self._read_file(key) if self._members is None else self._read_member(key)

    def names(self):
        """Yield the names of all files, of a folder in sorted order, those in subfolders too."""
        if self._members is not None:
            yield from self._members
            return
        for folder, subfolders, files in os.walk(self.path):
            subfolders.sort()
            inside = Path(folder).relative_to(self.path)
            yield from ((inside / name).as_posix() for name in sorted(files))

    def _read_file(self, key):
        path = self.path / key
        try:
            # Looked at before it is opened: opening a pipe would wait for its writer.
            status = os.stat(path)
            if not stat.S_ISREG(status.st_mode):
                raise KeyError("not a file")
            check_size(status.st_size)
            return path.read_bytes()
        except OSError as error:
            self._refuse_if_gone()
            if isinstance(error, FileNotFoundError | NotADirectoryError):
                raise KeyError("missing") from None
            raise KeyError(f"not readable: {error.strerror}") from None

    def _refuse_if_gone(self):
        """Tell an image that is missing from a folder that is: removed, or its disk taken away."""
        if self._folder is None or _identity(self.path) != self._folder:
            raise InputError(
                f"{self.path} went away while images were read from it, or is not on "
                f"{platform.node()}; bring it back and run again"
            )

    def _read_member(self, key):
        if key not in self._members:
            raise KeyError("missing")
        offset, size = self._members[key]
        check_size(size)
        if self._descriptor is None:
            self._descriptor = os.open(self.path, os.O_RDONLY)
        data = os.pread(self._descriptor, size, offset)
        if len(data) != size:
            raise KeyError("not readable: the tar became shorter")
        return data

    def __getstate__(self):
        # Absolute, for a process with another current folder.
        return {**self.__dict__, "path": self.path.absolute(), "_descriptor": None}

    def __setstate__(self, state):
        """On another machine the same folder has another number.

        Where its disk is not mounted lies an empty one, of which all images would be missing.
        """
        self.__dict__.update(state)
        if self._machine != MACHINE:
            there = os.path.lexists(self.path / (self._witness or ""))
            self._machine, self._folder = MACHINE, _identity(self.path) if there else None

    def __del__(self):
        if getattr(self, "_descriptor", None) is not None:
            os.close(self._descriptor)


def _any_name(folder):
    """The name of something in a folder, None if it is empty or cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            return next((entry.name for entry in entries), None)
    except OSError:
        return None


def _identity(path):
    """What tells a folder from another one that takes its name; None where there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def inside(name):
    """``name`` in the one form that files and tar members are looked up by."""
    if not name:
        raise KeyError("missing: no image is named")
    if "\0" in name:
        raise KeyError("missing: the name holds a NUL character")
    if not name.isascii() and any("\ud800" <= letter <= "\udfff" for letter in name):
        raise KeyError("missing: the name holds half a character")
    if posixpath.isabs(name):
        raise KeyError("missing: the name is an absolute path")
    # Before normalising, for where "link/.." leads depends on the link.
    if ".." in name.split("/"):
        raise KeyError("missing: the name leads out of the image root")
    return posixpath.normpath(name)


def check_size(size):
    if size > MAX_BYTES:
        raise KeyError(f"too large: {size / 2**20:.0f} MiB, the limit is {MAX_BYTES >> 20} MiB")


def _check_end(path, offset):
    """tarfile takes a damaged header for the end, unless it is the first: look what lies there."""
    with open(path, "rb") as file:
        file.seek(offset)
        if file.read(512).strip(b"\0"):
            raise tarfile.ReadError(f"the header at byte {offset} is damaged or cut off")


def _scan_tar(path):
    """Where each file of a tar lies: name -> (offset, size in bytes)."""
    members = {}
    length = path.stat().st_size
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                tar.members = []  # tarfile keeps every header it has seen; ours is enough
                name = posixpath.normpath(member.name)
                if member.size < 0:
                    raise tarfile.ReadError("a file has a negative size")
                if member.isreg() and not member.issparse():
                    if member.offset_data + member.size > length:
                        raise tarfile.ReadError("it ends in the middle of a file")
                    members[name] = (member.offset_data, member.size)
                elif member.islnk():
                    # tar writes a file that it meets a second time as a link to the first.
                    first = members.get(posixpath.normpath(member.linkname))
                    if first:
                        members[name] = first
            _check_end(path, tar.offset)
    except (tarfile.TarError, OSError) as error:
        raise InputError(
            f"{path} cannot be read as an uncompressed tar ({error}); "
            "unpack it if it is compressed, write it again if it is cut off"
        ) from None
    return members
