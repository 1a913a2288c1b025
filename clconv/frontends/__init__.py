"""Thin translations of the library for people: the command line and its pictures."""
