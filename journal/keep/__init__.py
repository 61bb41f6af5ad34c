"""What keeps a journal over the years: migrations, backups, retention."""
