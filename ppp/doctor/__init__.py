"""Find what is wrong with this machine and how to fix it: probes gather facts, judges turn them into diagnoses."""
