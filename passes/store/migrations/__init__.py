"""Bring a database to the newest schema, or refuse one that is not."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import create_engine, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

_HERE = Path(__file__).parent
HEAD = max(path.name[:4] for path in (_HERE / "versions").glob("[0-9]*.py"))


class SchemaOutdated(Exception):
    """The database has another schema version than this code needs."""


class DatabaseUnreachable(Exception):
    """There is no usable database at this address; the text is one sentence."""


def migrate(url: str) -> None:
    """Bring the database at `url` to the newest schema. Harmless when it already is."""
    # Alembic is imported here: servers never migrate and need not carry it.
    from alembic import command
    from alembic.config import Config

    _make_private(url)
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


def _make_private(url: str) -> None:
    """Create an SQLite file that its owner alone can read; what SQLite puts beside it follows suit."""
    address = make_url(url)
    if address.get_backend_name() == "sqlite" and address.database:
        path = Path(address.database)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)


def require_current(url: str) -> None:
    """Raise `SchemaOutdated` unless the database at `url` has the newest schema.

    Raises `DatabaseUnreachable` when it cannot be asked.
    """
    found = _version(url)
    if found != HEAD:
        raise SchemaOutdated(
            f"The database schema is {found or 'empty'}, this version needs {HEAD}. Run: passes migrate"
        )


def _version(url: str) -> str | None:
    address = make_url(url)
    if address.get_backend_name() == "sqlite" and not Path(address.database or "").exists():
        # Asking would leave an empty file behind.
        return None
    engine = create_engine(address)
    try:
        with engine.connect() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return None
            version: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
            return version
    except DBAPIError as problem:
        reason = str(problem.orig).strip().partition("\n")[0]
        raise DatabaseUnreachable(
            f"The database cannot be used ({reason}). Look at PASSES_DATABASE_URL."
        ) from problem
    finally:
        engine.dispose()
