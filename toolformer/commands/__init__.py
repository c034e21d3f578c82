"""The commands of `toolformer`, a file each kind. Flags come from dataclasses; what is heavy is imported in `run`."""
