"""When to call: where a call is needed, and from which probability on a model should make one."""
