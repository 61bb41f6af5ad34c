"""What was decided, kept and proved."""
