"""The model that comes with the package: its weights, adapter, corpus and facts. `recipes/builtin` makes them again."""
