"""What can be typed after ``socp``?  A module here for each word."""

from socp_twisted.command.line import main

__all__ = ["main"]
