"""Who watches a soak: metrics, quantiles, events. None of them decides, and none may end it."""
