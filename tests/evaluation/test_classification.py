import numpy as np

from fairseq_item.data.tsv import read_table
from fairseq_item.evaluation.classification import accuracies, write_predictions

CATEGORIES = [f"c{i}" for i in range(8)]
BEST = np.array([[3, 1, 2, 0, 4, 5], [1, 0, 2, 4, 5, 3], [0, 1, 2, 3, 4, 6], [7, 6, 5, 4, 3, 2]])


def test_accuracies_by_hand():
    """First; sixth, so not among five; third; of a category that training did not have."""
    result = accuracies(["c3", "c3", "c2", "hats"], CATEGORIES, BEST)
    assert result == {
        "products": 4,
        "with_category": 4,
        "unknown_category": 1,
        "Acc@1": 25.0,
        "Acc@5": 50.0,
    }


def test_products_without_a_category_do_not_count():
    result = accuracies(["c3", "", " ", "c7"], CATEGORIES, BEST)
    assert (result["with_category"], result["unknown_category"]) == (2, 0)
    assert (result["Acc@1"], result["Acc@5"]) == (100.0, 100.0)
    assert accuracies([""] * 4, CATEGORIES, BEST) == {
        "products": 4,
        "with_category": 0,
        "unknown_category": 0,
    }


def test_names_are_written_as_the_catalogue_has_them(tmp_path):
    path = tmp_path / "out.tsv"
    rows = np.array([[1, 0], [0, 1]]), np.array([[0.75, 0.25], [0.5, 0.5]])
    write_predictions(path, ["a", "b"], ["Tee Shirts", "100% <Wool>"], *rows)
    table = read_table(path, ["id", "rank", "category", "probability"], only=True)
    assert table.rows == [
        ["a", "1", "100% <Wool>", "0.750000"],
        ["a", "2", "Tee Shirts", "0.250000"],
        ["b", "1", "Tee Shirts", "0.500000"],
        ["b", "2", "100% <Wool>", "0.500000"],
    ]
