"""The model that comes with the package: its weights, its corpus, and the recipe that made them."""
