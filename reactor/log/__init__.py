"""Where records come from: the Log port and its adapters."""
