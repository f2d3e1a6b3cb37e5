"""What every catalog promises."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.control import manifest, manifest_digest

from trimtab import errors
from trimtab.backends.catalog import SqlCatalog
from trimtab.backends.database import open_database
from trimtab.backends.memory import MemoryCatalog
from trimtab.domain.names import Digest, ReleaseRef
from trimtab.ports.catalog import Catalog


@pytest.fixture(params=["memory", "sqlite"])
def catalog(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Catalog]:
    """An empty catalog of each kind."""
    if request.param == "memory":
        yield MemoryCatalog()
        return
    engine = open_database(tmp_path / "control.db")
    yield SqlCatalog(engine)
    engine.dispose()


def test_releases_of_a_model_are_numbered_in_order(catalog: Catalog) -> None:
    made = [catalog.register(manifest_digest(n), manifest(n), float(n)) for n in (1, 2)]
    other = catalog.register(manifest_digest(1, "x"), manifest(1, "x"), 3.0)
    assert [release.name for release in (*made, other)] == ["m@1", "m@2", "x@1"]
    assert catalog.releases() == (*made, other)
    assert catalog.releases("x") == (other,)


def test_registering_again_keeps_the_number_and_the_time(catalog: Catalog) -> None:
    first = catalog.register(manifest_digest(1), manifest(1), 1.0)
    catalog.register(manifest_digest(2), manifest(2), 2.0)
    assert catalog.register(manifest_digest(1), manifest(1), 9.0) == first
    assert len(catalog.releases()) == 2


def test_release_is_found_by_name_and_by_digest_prefix(catalog: Catalog) -> None:
    made = catalog.register(manifest_digest(1), manifest(1), 1.0)
    assert catalog.get(made.digest) == made
    assert catalog.find(ReleaseRef.parse("m@1")) == made
    assert catalog.find(ReleaseRef.parse(made.digest[:20])) == made


def test_what_is_not_there_is_not_found(catalog: Catalog) -> None:
    for ref in (ReleaseRef.parse("m@1"), ReleaseRef.parse("abcdef12")):
        with pytest.raises(errors.NotFound) as caught:
            catalog.find(ref)
        assert caught.value.code == errors.NO_SUCH_RELEASE
    with pytest.raises(errors.NotFound):
        catalog.get(manifest_digest(1))


def test_prefix_of_two_releases_is_ambiguous(catalog: Catalog) -> None:
    for number, tail in ((1, "0"), (2, "1")):
        catalog.register(Digest("sha256:abcdef" + tail * 58), manifest(number), 1.0)
    with pytest.raises(errors.Usage) as caught:
        catalog.find(ReleaseRef.parse("abcdef"))
    assert caught.value.code == errors.AMBIGUOUS_DIGEST
