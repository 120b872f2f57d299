"""A file's bytes by position, read in a way that an answer always comes back: bytes, or an error with the file's name.

A memory map would be no slower, but where its file shrinks under it the kernel kills the process without a word.
"""

import errno
import os
import stat
import weakref
from contextlib import suppress
from pathlib import Path

from common.errors import DataError

WAYS_OUT = {
    errno.EACCES: "give yourself the right to read it (chmod, chown)",
    errno.EMFILE: "raise the limit (`ulimit -n`) or lower the number of workers",
    errno.ENFILE: "the machine has too many files open: stop some programs",
}


class RandomAccessFile:
    """A regular file, open for reading. Nothing keeps a position: threads and forked workers may share it.

    `size` is that at the opening. Raises DataError for a file that is missing, cannot be opened, or is no regular file
    (folders, pipes and devices are refused, not waited for).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            way_out = WAYS_OUT.get(getattr(error, "errno", 0), "is the path right?")
            raise DataError(f"{path}: cannot be opened ({reason}); {way_out}") from error
        weakref.finalize(self, os.close, self._handle)
        found = os.fstat(self._handle)
        if not stat.S_ISREG(found.st_mode):
            raise DataError(f"{path}: not a regular file; is the path right?")
        self.size = found.st_size

    def announce(self, offset: int, length: int) -> None:
        """Have the disk read these bytes; returns at once. A hint, that fails in silence."""
        with suppress(OSError):
            os.posix_fadvise(self._handle, offset, length, os.POSIX_FADV_WILLNEED)

    def read(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset` on, fewer only at the end of the file.

        Raises DataError, caused by an OSError, where the disk does not give them or the file has shrunk meanwhile.
        """
        wanted = max(0, min(length, self.size - offset))
        try:
            found = os.pread(self._handle, wanted, offset)
            while len(found) < wanted and (more := os.pread(self._handle, wanted - len(found), offset + len(found))):
                found += more
            if len(found) < wanted:
                raise OSError(errno.EIO, f"shrunk from {self.size} to {os.fstat(self._handle).st_size} bytes meanwhile")
        except OSError as error:
            raise DataError(
                f"{self.path}: byte {offset} cannot be read ({error.strerror}); copy it again and run the same command"
            ) from error
        return found
