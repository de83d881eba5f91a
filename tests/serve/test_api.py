from io import BytesIO
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

from fairseq_item.search.index import ItemIndex
from fairseq_item.search.search import fused_search


def ids(answer):
    assert answer.status_code == 200, answer.text
    return [found["id"] for found in answer.json()["answers"]]


def error(answer, status):
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]
    assert "\n" not in answer.json()["error"]
    return answer.json()["error"]


def searched(shop, model, title=None, image=None, k=10, **settings):
    """Ids and scores that the search itself gives."""
    index = ItemIndex.load(shop / "index")
    asked = {**model("").embed([title], [image]), "lexical": [title or ""]}
    found = fused_search(index, asked, k, **settings)
    return [index.ids[row] for row in found.rows[0]], found.scores[0]


def test_answers_are_those_of_the_search(shop, client, model, make):
    image = make.photo("blue", "hat")
    for title, photo in (("blue hat", None), (None, image), ("red mug", image)):
        files = {"image": photo} if photo else None
        answer = client.post("/api/search", data={"title": title or "", "k": 7}, files=files)
        names, scores = searched(shop, model, title, photo, 7)
        assert ids(answer) == names
        found = answer.json()
        np.testing.assert_allclose([a["score"] for a in found["answers"]], scores, atol=1e-6)
        assert [a["rank"] for a in found["answers"]] == list(range(1, 8))
        assert found["weights"] == {"global": 0.5, "title": 0.25, "image": 1, "lexical": 1}
        first = found["answers"][0]
        assert (first["similarities"]["image"] is None) == (photo is None)
        assert (first["similarities"]["lexical"] is None) == (title is None)
        assert set(first["fields"]) == {"leaf_category", "note"}
    by_address = client.get("/api/search", params={"title": "blue hat", "k": 7})
    assert ids(by_address) == searched(shop, model, "blue hat", k=7)[0]


def test_weights_of_a_query(shop, client, model, make):
    asked = {"title": "red mug", "weights": "0,0,1,0.5"}
    answer = client.post("/api/search", data=asked, files={"image": make.photo("green", "pan")})
    photo = make.photo("green", "pan")
    assert ids(answer) == searched(shop, model, "red mug", photo, weights=(0, 0, 1, 0.5))[0]
    assert answer.json()["weights"]["lexical"] == 0.5
    assert answer.json()["answers"][0]["decided_by"] == ["image"]
    for wrong in ("1,2", "a,b,c,d", "0,0,0,0", "-1,1,1,1", "nan,1,1,1"):
        assert error(client.get("/api/search", params={"title": "x", "weights": wrong}), 400)


def test_more_like_an_item(client, shop, make):
    answer = client.get("/api/search", params={"item": "p0", "k": 4})
    # The same product under another name, and never the item itself.
    assert ids(answer)[0] in ("p12", "p24")
    assert "p0" not in ids(client.get("/api/search", params={"item": "p0", "k": 100}))
    assert ids(client.get("/api/search", params={"item": make.NASTY}))
    assert "no item" in error(client.get("/api/search", params={"item": "none"}), 404)


def test_an_item_as_query_is_its_title_and_image(client, shop, make):
    """Up to the rounding of stored vectors: the item's own come back from the index."""
    asked = {"title": "red mug model 0", "k": 12}
    photo = (shop / "images" / "0.png").read_bytes()
    whole = client.post("/api/search", data=asked, files={"image": photo}).json()["answers"]
    alike = client.get("/api/search", params={"item": "p0", "k": 11}).json()["answers"]
    assert whole[0]["id"] == "p0"
    assert [a["id"] for a in alike] == [a["id"] for a in whole[1:]]
    np.testing.assert_allclose(
        [a["score"] for a in alike], [a["score"] for a in whole[1:]], rtol=1e-4
    )


@pytest.mark.parametrize("asked", [{"title": "red hat"}, {"item": "p3"}])
def test_conditions_give_the_best_of_those_that_fulfil_them(client, make, asked):
    everything = ids(client.get("/api/search", params={**asked, "k": 30}))
    kinds = {row[0]: row[3] for row in make.products(30)}
    for kind in ("mug", "hat"):
        where = [f"leaf_category={kind}"]
        answer = client.get("/api/search", params={**asked, "k": 5, "where": where})
        assert ids(answer) == [name for name in everything if kinds[name] == kind][:5]
    both = ["leaf_category=mug", "note=n12"]
    assert ids(client.get("/api/search", params={**asked, "where": both})) == ["p12"]
    none = ["leaf_category=mug", "leaf_category=hat"]
    assert ids(client.get("/api/search", params={**asked, "where": none})) == []
    assert ids(client.get("/api/search", params={**asked, "where": ["leaf_category=Mug"]})) == []


def test_conditions_are_exact_in_approximate_indexes(start, make, tmp_path):
    """However far from the query: its lists hold 100 items, and only some lists are looked at."""
    client = start(index=make.build(tmp_path, 300, factory="IVF4,Flat"))
    for i in range(0, 300, 30):
        asked = {"k": 1, "where": f"note=n{i}"}
        answer = client.post("/api/search", data=asked, files={"image": make.photo("grey")})
        assert ids(answer) == [f"p{i}"]


def test_wrong_queries_are_one_line(client, make):
    get, post = client.get, client.post
    assert "give a title" in error(get("/api/search"), 400)
    assert "give a title" in error(get("/api/search", params={"title": "a", "item": "p0"}), 400)
    assert "give a title" in error(post("/api/search"), 400)
    photo = {"image": make.photo()}
    assert "give a title" in error(post("/api/search", data={"item": "p0"}, files=photo), 400)
    assert "k: " in error(get("/api/search", params={"title": "a", "k": 0}), 400)
    assert "k: " in error(get("/api/search", params={"title": "a", "k": "many"}), 400)
    assert "limit is 100" in error(get("/api/search", params={"title": "a", "k": 101}), 400)
    conditions = {"title": "a", "where": ["note=n1"] * 21}
    assert "conditions" in error(get("/api/search", params=conditions), 400)
    for wrong in ("colour=red", "note", ""):
        told = error(get("/api/search", params={"title": "a", "where": [wrong]}), 400)
        assert "leaf_category" in told
    assert error(get("/api/nothing"), 404)
    assert error(client.put("/api/search"), 405)


def test_items_and_their_images(client, start, shop, make):
    item = client.get(f"/api/items/{quote(make.NASTY, safe='')}").json()
    assert (item["id"], item["fields"]["note"]) == (make.NASTY, "n5")
    image = client.get("/" + item["image"])
    assert image.headers["content-type"] == "image/webp"
    assert "immutable" in image.headers["cache-control"]
    assert "no-cache" in client.get("/api/images/p1").headers["cache-control"]
    assert Image.open(BytesIO(image.content)).size == (32, 32)
    assert error(client.get("/api/items/none"), 404)
    assert error(client.get("/api/images/none"), 404)
    original = start(image_root=str(shop / "images"))
    assert Image.open(BytesIO(original.get("/api/images/p1").content)).size == (40, 40)
    some = client.get("/api/items", params={"count": 3}).json()["items"]
    assert [found["id"] for found in some] == ["p0", "p14", "p29"]
    hats = client.get("/api/items", params={"count": 99, "where": "leaf_category=hat"}).json()
    assert {found["fields"]["leaf_category"] for found in hats["items"]} == {"hat"}


def test_without_images(start, shop, make, tmp_path):
    index = make.build(tmp_path)
    for file in (tmp_path / "embeddings").iterdir():
        file.unlink()
    client = start(index=index)
    assert client.get("/api/items/p1").json()["image"] is None
    assert error(client.get("/api/images/p1"), 404)
    (tmp_path / "images" / "1.png").write_bytes(b"no image")
    (tmp_path / "images" / "2.png").unlink()
    client = start(index=index, image_root=str(tmp_path / "images"))
    for broken in ("p1", "p2"):
        assert error(client.get(f"/api/images/{broken}"), 404)


def test_described(client):
    told = client.get("/api/index").json()
    assert told["items"] == 30
    assert told["choices"] == {"leaf_category": {"mug": 12, "pan": 10, "hat": 8}}
    assert told["similarities"] == ["global", "title", "image", "lexical"]
    assert client.get("/healthz").json() == {"status": "ok", "items": 30, "index": told["index"]}
    paths = client.get("/openapi.json").json()["paths"]
    routes = {"/api/search", "/api/items", "/api/items/{id}", "/api/images/{id}", "/api/index"}
    assert routes | {"/healthz", "/metrics"} == set(paths)
    assert set(paths["/api/search"]) == {"get", "post"}
    for methods in paths.values():
        for method in methods.values():
            assert "422" not in method["responses"]
            assert method["description"]


def test_metrics(client):
    client.get("/api/search", params={"title": "red"})
    client.get("/api/items/p1")
    client.get("/api/items/p2")
    client.get("/nothing")
    text = client.get("/metrics").text
    assert 'item_requests_total{route="/api/search",status="200"} 1.0' in text
    assert 'item_requests_total{route="/api/items/{id:path}",status="200"} 2.0' in text
    assert 'item_requests_total{route="other",status="404"} 1.0' in text
    assert 'item_search_seconds_count{query="title"} 1.0' in text
    assert "item_index_items 30.0" in text


def test_what_fails_inside_is_not_told(client, monkeypatch):
    def fail(queries):
        raise RuntimeError("secret")

    monkeypatch.setattr(client.served.engine, "answer_all", fail)
    answer = client.get("/api/search", params={"title": "red"})
    assert "secret" not in error(answer, 500)
    assert "content-security-policy" in answer.headers
