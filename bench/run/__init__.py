"""The main job: spec, plan, shards, store, results."""
