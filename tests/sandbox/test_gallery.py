"""The gallery shows a mail of every ready route."""

from sandbox.examples import examples_of
from sandbox.gallery import FOLDER, SHOWN
from shared.webhooks.routing.catalog import load


def test_every_ready_route_has_its_picture() -> None:
    catalog = load()
    assert set(SHOWN) == set(catalog.routes)
    assert set(SHOWN.items()) <= {(route.name, example.name) for route, example in examples_of(catalog)}
    page = (FOLDER.parent / "gallery.md").read_text()
    for name in SHOWN:
        assert f"(gallery/{name}.png)" in page
        assert (FOLDER / f"{name}.png").stat().st_size > 10_000
