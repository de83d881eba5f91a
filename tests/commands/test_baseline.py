"""item-baseline as a command: what the library below does not know."""

from fairseq_item.commands import baseline as baseline_command
from fairseq_item.data.tsv import write_tsv
from fairseq_item.search.hits import read_hits


def test_exclude_self_drops_the_query_and_nothing_else(tmp_path):
    titles = ("red mug", "red mug", "red pan", "blue mug", "blue hat")
    rows = [{"id": str(i), "title": title} for i, title in enumerate(titles)]
    write_tsv(tmp_path / "items.tsv", ["id", "title"], rows)

    def answers(k, *more):
        files = ["--queries", tmp_path / "items.tsv", "--index", tmp_path / "items.tsv"]
        args = ["tfidf", *files, "-k", k, "--out", tmp_path / "hits.tsv", *more]
        baseline_command.main([str(arg) for arg in args])
        hits = read_hits(tmp_path / "hits.tsv")
        return {query: [hit.item_id for hit in found] for query, found in hits.items()}

    everything = answers(5)
    assert all(query in found for query, found in everything.items())
    for k in (1, 2, 5):
        expected = {
            query: [item for item in found if item != query][:k]
            for query, found in everything.items()
        }
        assert answers(k, "--exclude-self") == expected
