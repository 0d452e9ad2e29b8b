"""Many nodes and their people in one process, over time that is simulated."""
