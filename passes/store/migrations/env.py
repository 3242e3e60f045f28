"""Alembic's entry: run the migrations on the URL that `migrate` passes in."""

from __future__ import annotations

from alembic import context
from sqlalchemy import create_engine

from passes.store.models import metadata

engine = create_engine(context.config.attributes["url"])
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
