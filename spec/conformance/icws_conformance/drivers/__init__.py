"""Programs that stand between the suite and an implementation: one JSON document a line, on the standard streams."""
