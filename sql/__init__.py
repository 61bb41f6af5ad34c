"""Migrations, views and the questions that people ask, as SQL files."""
