import torch

from fairseq_item.criterions.logged import totals


def test_numbers_and_tensors_of_all_outputs_add_up():
    logs = [
        {"a": 1, "b": torch.tensor(2), "c": torch.tensor(0.5)},
        {"a": 2, "b": torch.tensor(3), "c": torch.tensor([0.25])},
        {"b": 4.0},
    ]
    found = totals(logs)
    assert dict(found) == {"a": 3.0, "b": 9.0, "c": 0.75}
    assert all(type(value) is float for value in found.values())
    assert found["nothing"] == 0.0


def test_each_dtype_is_fetched_once(monkeypatch):
    fetched, tolist = [], torch.Tensor.tolist
    monkeypatch.setattr(torch.Tensor, "tolist", lambda t: fetched.append(t.dtype) or tolist(t))
    logs = [{str(i): torch.tensor(float(i)), f"n{i}": torch.tensor(i)} for i in range(5)]
    assert totals(logs)["n4"] == 4.0
    assert sorted(map(str, fetched)) == ["torch.float32", "torch.int64"]
