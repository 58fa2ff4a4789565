"""How one network is trained: recipe, step and loop. Knows nothing of Ray."""
