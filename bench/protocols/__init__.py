"""Protocols: everything that decides a number, as versioned data."""
