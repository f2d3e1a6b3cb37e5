"""The catalog of releases on the metadata database."""

import msgspec
from sqlalchemy import Engine, Row, Select, func, insert, select

from trimtab.backends.database import reading, releases, writing
from trimtab.backends.refusals import only
from trimtab.domain.names import Digest, ReleaseRef
from trimtab.domain.release import Manifest, Release


class SqlCatalog:
    """`ports.Catalog` over SQL."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def register(self, digest: Digest, manifest: Manifest, now: float) -> Release:
        """See `ports.Catalog`."""
        known = select(releases).where(releases.c.digest == digest)
        highest = select(func.coalesce(func.max(releases.c.number), 0))
        with writing(self._engine, "register") as db:
            row = db.execute(known).first()
            if row is not None:
                return _release(row)
            number = db.execute(highest.where(releases.c.model == manifest.model)).scalar_one() + 1
            db.execute(
                insert(releases).values(
                    digest=digest,
                    model=manifest.model,
                    number=number,
                    created_at=now,
                    manifest=msgspec.json.encode(manifest).decode(),
                )
            )
        return Release(digest, manifest.model, number, now, manifest)

    def find(self, ref: ReleaseRef) -> Release:
        """See `ports.Catalog`."""
        query = select(releases)
        if ref.digest_prefix is not None:
            query = query.where(releases.c.digest.startswith(ref.digest_prefix, autoescape=True))
        else:
            query = query.where(releases.c.model == ref.model, releases.c.number == ref.number)
        return only(self._all(query), ref)

    def get(self, digest: Digest) -> Release:
        """See `ports.Catalog`."""
        return only(
            self._all(select(releases).where(releases.c.digest == digest)),
            ReleaseRef(digest_prefix=digest),
        )

    def releases(self, model: str | None = None) -> tuple[Release, ...]:
        """See `ports.Catalog`."""
        query = select(releases).order_by(
            releases.c.created_at, releases.c.model, releases.c.number
        )
        return self._all(query if model is None else query.where(releases.c.model == model))

    def _all(self, query: Select[*tuple[object, ...]]) -> tuple[Release, ...]:
        with reading(self._engine, "read the catalog") as db:
            return tuple(_release(row) for row in db.execute(query))


def _release(row: Row[*tuple[object, ...]]) -> Release:
    manifest = msgspec.json.decode(row.manifest, type=Manifest)
    return Release(Digest(row.digest), row.model, row.number, row.created_at, manifest)
