"""Alembic's migrations of the control store, in order. `Database.migrate` runs them.

A migration only adds, so that services of the release before go on beside it; what it states is frozen, so it
imports nothing of `schema`.
"""
