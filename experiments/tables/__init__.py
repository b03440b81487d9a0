"""Tables that a run writes and reads."""
