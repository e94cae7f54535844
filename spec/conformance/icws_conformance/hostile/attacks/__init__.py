"""The attacks, by what they strike."""
