"""Programs with known faults, and sound ones, to measure ``chainrule.watch`` with."""
