"""How far what is analysed has moved from what the calibration was fitted on, and what that costs."""
