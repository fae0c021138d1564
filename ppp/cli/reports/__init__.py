"""What `ppp check` found, in the formats that people and CI systems read."""
