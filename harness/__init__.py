"""Fuzzes, judges and gates error recovery of IBM CAPI accelerators on POWER hosts."""

__version__ = "0.1.0"
