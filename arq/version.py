"""The version of this distribution: dotted integers below 1.0, because companion packages parse it that way."""

__all__ = ["VERSION"]

VERSION = "0.29.0"
