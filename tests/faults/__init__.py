"""What befalls a run, and what is lost by it: nothing."""
