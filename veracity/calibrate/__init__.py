"""From model outputs for labelled clips to a calibration file: temperatures, fusion, thresholds."""
