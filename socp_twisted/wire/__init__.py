"""Bytes to values and back: the vocabulary, encodings and envelopes; pure."""
