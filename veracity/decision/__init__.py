"""From model outputs to a label: calibration, fusion, thresholds, and the words for people."""
