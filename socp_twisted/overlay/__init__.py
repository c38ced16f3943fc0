"""What follows from a frame?  Pure: no clock, no I/O, no await."""
