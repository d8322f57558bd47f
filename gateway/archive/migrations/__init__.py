"""The archive's tables, by Alembic: one file in `versions/` per change, never edited later."""
