"""A statement as each engine wants it, and the rows that it handles at once as one JSON text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import orjson
from sqlalchemy import TextClause, text

from passes.store.work import Read


@dataclass(frozen=True, slots=True)
class Spoken:
    """One statement as each engine wants it."""

    sqlite: TextClause
    postgresql: TextClause

    def on(self, read: Read) -> TextClause:
        """The statement for this engine."""
        return self.postgresql if read.postgresql else self.sqlite


# The phones of the cards picked, each looked up by its card. PostgreSQL expects
# a hundred picked rows of any list and would rather read the whole table.
_PHONES_ON_SQLITE = "registration r INDEXED BY ix_registration_pass_type_id_card_id"
_PHONES_ON_POSTGRESQL = (
    "LATERAL (SELECT * FROM registration held"
    " WHERE held.pass_type_id = :pass_type_id AND held.card_id = picked.card_id OFFSET 0) AS r"
)
_SQLITE_INDEXES = {
    "by_card": "INDEXED BY ix_registration_pass_type_id_card_id",
    "by_token": "INDEXED BY ix_device_pass_type_id_push_token",
}


def spoken(sql: str, *, picked: Mapping[str, str] | None = None, lock: str = "") -> Spoken:
    """A statement with `{picked}` (a table with these columns and types), `{greatest}` and SQLite's indexes.

    `lock` is the locking clause of PostgreSQL; SQLite has one writer and needs none.
    """
    columns = picked or {}
    extracted = ", ".join(f"json_extract(value, '$.{name}') AS {name}" for name in columns)
    typed = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    return Spoken(
        sqlite=text(
            sql.format(
                picked=f"(SELECT {extracted} FROM json_each(:rows)) AS picked",
                greatest="max",
                phones=_PHONES_ON_SQLITE,
                **_SQLITE_INDEXES,
            )
        ),
        postgresql=text(
            sql.format(
                picked=f"json_to_recordset(CAST(:rows AS json)) AS picked({typed})",
                greatest="greatest",
                phones=_PHONES_ON_POSTGRESQL,
                **dict.fromkeys(_SQLITE_INDEXES, ""),
            )
            + lock
        ),
    )


def picked_rows(rows: Iterable[Mapping[str, object]]) -> str:
    """What `{picked}` is made from."""
    return orjson.dumps(list(rows)).decode()
