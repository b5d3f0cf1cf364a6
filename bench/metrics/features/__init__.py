"""Networks whose features set metrics share: one file each, and the cache of their vectors."""
