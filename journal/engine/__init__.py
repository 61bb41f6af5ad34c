"""The embedded ClickHouse engine as a process of its own, behind ClickHouse's HTTP protocol."""
