"""Data sets: one file a kind of source, and a catalogue of those that the papers use."""
