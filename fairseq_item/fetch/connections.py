"""urllib3's connections, to addresses that were looked at, each of which can be cut off.

The name is resolved, its addresses are judged, and the socket is opened to one of these very
addresses. TLS is still verified against the name.
"""

import os
import socket
import threading
from contextlib import suppress

from urllib3 import PoolManager, connection, connectionpool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import create_connection

from fairseq_item.fetch.addresses import resolve

_thread = threading.local()


class Deadline:
    """Cuts off whatever the current thread is connected to, once the time is over.

    Timeouts of sockets hold for one reading each: a server that sends a byte now and then would
    keep a thread for ever.

    Attributes:
        over: whether the time is over.
    """

    def __init__(self, seconds):
        self.over = False
        self._line, self._lock = None, threading.Lock()
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def __enter__(self):
        _thread.deadline = self
        self._timer.start()
        return self

    def __exit__(self, *_):
        self._timer.cancel()
        _thread.deadline = None
        with self._lock:
            self._line = None

    def holds(self, line):
        """Let this socket, a duplicate, be the one that is cut off."""
        with self._lock:
            self._line = line
        if self.over:
            self._cut()

    def _cut(self):
        self.over = True
        with self._lock:
            if self._line is not None:
                with suppress(OSError):  # it may be closed by now
                    self._line.shutdown(socket.SHUT_RDWR)


class _Looked:
    """Mixed into urllib3's connections."""

    allow_private = False
    line = None

    def _new_conn(self):
        try:
            addresses = resolve(self._dns_host, self.port, self.allow_private)
        except (socket.gaierror, UnicodeError) as error:
            reason = socket.gaierror(str(error))
            raise NameResolutionError(self.host, self, reason) from error
        for address in addresses:
            try:
                sock = create_connection(
                    (address, self.port), self.timeout, socket_options=self.socket_options
                )
                break
            except TimeoutError as error:
                failure = ConnectTimeoutError(self, f"{self.host} does not take connections")
                failure.__cause__ = error
            except OSError as error:
                failure = NewConnectionError(self, f"{self.host}: {os.strerror(error.errno or 0)}")
                failure.__cause__ = error
        else:
            raise failure
        # A second handle of the socket outlives its wrapping in TLS.
        self.line = sock.dup()
        self._tell()
        return sock

    def request(self, *args, **kwargs):
        self._tell()
        return super().request(*args, **kwargs)

    def _tell(self):
        deadline = getattr(_thread, "deadline", None)
        if deadline is not None and self.line is not None:
            deadline.holds(self.line)

    def close(self):
        super().close()
        if self.line is not None:
            self.line.close()
            self.line = None


def pool_manager(per_host, timeout, allow_private):
    """urllib3's pool of connections that look at addresses.

    Args:
        per_host: connections to a host that are kept.
        timeout: ``urllib3.Timeout``.
        allow_private: whether every address may be asked.
    """
    own = {"allow_private": allow_private}
    plain = type("Plain", (_Looked, connection.HTTPConnection), own)
    secure = type("Secure", (_Looked, connection.HTTPSConnection), own)
    pools = PoolManager(num_pools=64, maxsize=per_host, timeout=timeout, retries=False)
    pools.pool_classes_by_scheme = {
        "http": type("PlainPool", (connectionpool.HTTPConnectionPool,), {"ConnectionCls": plain}),
        "https": type(
            "SecurePool", (connectionpool.HTTPSConnectionPool,), {"ConnectionCls": secure}
        ),
    }
    return pools
