"""Which checkpoint embeds queries: what a description names is not taken on trust."""

import hashlib

import pytest

from fairseq_item.errors import InputError
from fairseq_item.search.query_model import model_of


@pytest.mark.parametrize("folder", [False, True])
def test_the_index_own_checkpoint_is_taken_if_it_is_the_same_file(tmp_path, folder):
    path = tmp_path / "checkpoint_best.pt"
    path.write_bytes(b"weights")
    named = str(tmp_path if folder else path)
    digest = hashlib.sha256(b"weights").hexdigest()
    meta = {"checkpoint": named, "checkpoint_digest": digest}
    found = model_of(meta, "index")
    assert (found["checkpoint"], found["digest"]) == (named, digest)
    path.write_bytes(b"others")
    with pytest.raises(InputError, match="not the one that made index; give that one as"):
        model_of(meta, "index")
    # What a user names is opened, and compared when it is.
    assert model_of(meta, "index", str(path))["checkpoint"] == str(path)


@pytest.mark.parametrize(
    "meta",
    [
        {},
        {"checkpoint": None, "checkpoint_digest": "d"},
        {"checkpoint": "/dev/zero", "checkpoint_digest": "d"},
        {"checkpoint": "/", "checkpoint_digest": "d"},
        {"checkpoint": __file__, "checkpoint_digest": None},
        {"checkpoint": __file__},
    ],
)
def test_a_checkpoint_without_a_digest_or_that_is_no_file_is_not_opened(meta):
    with pytest.raises(InputError, match="give that one as --checkpoint"):
        model_of(meta, "index")


def test_a_named_checkpoint_must_be_there(tmp_path):
    with pytest.raises(InputError, match="none' is not there"):
        model_of({}, "index", str(tmp_path / "none"))
    with pytest.raises(InputError, match="untrained model's embeddings; give --queries"):
        model_of({"untrained": True}, "index")
