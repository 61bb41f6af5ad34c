"""What a run is worth: gate, days, health, one outcome explained."""
