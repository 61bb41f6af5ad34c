"""One soak's life: what it reads, where it begins, its loop, replay and verify."""
