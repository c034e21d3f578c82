"""Encoder-decoders: a prompt or prefix is read, the text is written.

Right for every architecture rather than fast for one: what is batched has one length (`decoding.py`).
"""
