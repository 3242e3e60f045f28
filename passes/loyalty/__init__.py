"""The shop's promises as plain values: no web, no SQL, no clock, no dice."""
