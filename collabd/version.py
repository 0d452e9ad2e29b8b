"""The version of this program; packaging reads it from here."""

__version__ = "0.1.0"
