"""The steps that bring a metadata database to the present schema.

Belongs here: one alembic revision per change, additive where it can be, so that the version before
still runs on it. Does not belong here: queries, or data that can be derived from the journal.
"""
