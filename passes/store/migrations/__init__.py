"""Bring a database to the newest schema, or refuse one that is not."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import create_engine, inspect, text

_HERE = Path(__file__).parent
HEAD = max(path.name[:4] for path in (_HERE / "versions").glob("[0-9]*.py"))


class SchemaOutdated(Exception):
    """The database has another schema version than this code needs."""


def migrate(url: str) -> None:
    """Bring the database at `url` to the newest schema. Harmless when it already is."""
    # Alembic is imported here: servers never migrate and need not carry it.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_HERE))
    config.attributes["url"] = url
    command.upgrade(config, "head")
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        # Readers and the writer never wait for each other; the file remembers it.
        with engine.connect() as connection:
            connection.execute(text("PRAGMA journal_mode=WAL"))
    engine.dispose()


def require_current(url: str) -> None:
    """Raise `SchemaOutdated` unless the database at `url` has the newest schema."""
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            found = None
            if inspect(connection).has_table("alembic_version"):
                found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    finally:
        engine.dispose()
    if found != HEAD:
        raise SchemaOutdated(
            f"The database schema is {found or 'empty'}, this version needs {HEAD}. Run: passes migrate"
        )
