"""The report as evidence: one signed JSON document, shown as HTML and PDF, and checked without a network."""
