"""The page of a run: one folder that opens from disk, with tables, curves and a gallery."""
