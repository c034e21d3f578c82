"""The tasks: a YAML file each, as lm-eval wants them, and the readers of their data.

A reader takes the folder of the publishers' files, or None for the hub's copy.
"""
