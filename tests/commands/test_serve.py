import argparse
import socket
import sys

import pytest

from fairseq_item.commands import serve
from fairseq_item.commands.common import run


def refused(argv, capsys):
    with pytest.raises(SystemExit) as stop:
        run(serve.main, [str(word) for word in argv])
    assert stop.value.code == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    return line


def test_without_its_packages(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "fastapi", None)
    assert "fairseq-item[serve]" in refused(["index"], capsys)


def test_arguments(tmp_path, capsys):
    pytest.importorskip("fastapi")
    assert "'70000' is not a port" in refused(["index", "--port", "70000"], capsys)
    token = tmp_path / "token"
    assert "cannot be read" in refused(["index", "--token-file", token], capsys)
    for text in ("short", "two words of some length", "schlüsselschlüssel"):
        token.write_text(text)
        assert "openssl rand" in refused(["index", "--token-file", token], capsys)
    token.write_text("0123456789abcdef\n")
    assert serve.read_token(token) == "0123456789abcdef"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"127.0.0.1:{port}" in refused(["index", "--port", port], capsys)
    assert "meta.json is missing" in refused([tmp_path / "none", "--port", 0], capsys)


def test_only_this_machine_by_default():
    args = serve.parser().parse_args(["index"])
    assert (args.host, args.token_file) == ("127.0.0.1", None)
    assert serve.names(args) >= {"localhost", "127.0.0.1", "[::1]"}
    assert "evil.example" not in serve.names(args)
    args = serve.parser().parse_args(["index", "--allow-host", "Shop.Example"])
    assert "shop.example" in serve.names(args)
    assert serve.names(argparse.Namespace(host="0.0.0.0", allow_host=[])) is None
