"""A server on this machine that behaves in every bad way, and images to send."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO

import pytest
from PIL import Image


def png(number):
    """A small PNG, another one for each number."""
    data = BytesIO()
    Image.new("RGB", (4, 4), (number % 256, number // 256, 7)).save(data, "PNG")
    return data.getvalue()


class Server(ThreadingHTTPServer):
    """Counts what it was asked for; ``pages`` maps a path to a function of the handler."""

    daemon_threads = True
    png = staticmethod(png)

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages, self.asked = {}, []
        self.running, self.most = 0, 0
        self.lock = threading.Lock()
        self.done = threading.Event()  # set when the test is over: whoever stalls wakes up
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_):
        pass  # clients that hang up are what is tested

    def times(self, path):
        return self.asked.count(path)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        with server.lock:
            server.asked.append(self.path)
            server.running += 1
            server.most = max(server.most, server.running)
        try:
            page = server.pages.get(self.path)
            if page is None and self.path.startswith("/image"):
                self.send(png(int(self.path[6:].split(".")[0])))
            elif page is None:
                self.send(b"", 404)
            else:
                page(self)
        finally:
            with server.lock:
                server.running -= 1

    def send(self, data, status=200, length=None, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data) if length is None else length))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture(name="server")
def fixture_server():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.done.set()
    server.shutdown()
    server.server_close()


@pytest.fixture(name="names")
def fixture_names(monkeypatch, server):
    """Names of the public internet that lead to the server, as if it had a public address.

    A dict from a host to its IP addresses; those that are public are the server's.
    """
    from fairseq_item.fetch import addresses, connections

    table = {}

    def getaddrinfo(host, port, *_, **__):
        if host not in table:
            return real(host, port, type=socket.SOCK_STREAM)
        found = table[host]() if callable(table[host]) else table[host]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in found]

    def connect(address, *args, **kwargs):
        host = "127.0.0.1" if addresses.is_public(address[0]) else address[0]
        return open_socket((host, address[1]), *args, **kwargs)

    real, open_socket = addresses.socket.getaddrinfo, connections.create_connection
    monkeypatch.setattr(addresses.socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(connections, "create_connection", connect)
    return table
