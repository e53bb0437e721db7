"""From the event log to a result: records, token counts, metrics, levels, summary. Pure functions."""
