"""Data sets: one file a kind of source, and what is known of those that the papers use."""
