"""The other side of the wire: a push service and a phone to develop and test against.

Emulators are witnesses: they import nothing else of `passes` and share no code
with what they check.
"""
