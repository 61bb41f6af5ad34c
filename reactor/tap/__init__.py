"""What one lane said: to topics, and out of the journal."""
