"""From scores of clips that nobody learned from to calibration.toml: temperatures, the rule of fusion, thresholds."""
