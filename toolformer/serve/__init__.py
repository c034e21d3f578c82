"""A model with its tools behind OpenAI's HTTP interface, and a page to chat on. Needs the extra `serve`."""
