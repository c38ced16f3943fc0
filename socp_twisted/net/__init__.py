"""Bytes in, bytes out: the only importer of Autobahn besides the client."""
