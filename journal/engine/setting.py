"""Settings of a reader's request: which it may give, how far, and the caps that hold where it gives none.

What changes only the answer's form or the meaning of a query is honoured. What could lift a cap, reach beyond the
journal or do something is refused by name, as ClickHouse refuses it in a readonly session; a name that is no setting is
an error as there.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from journal.engine.reader import BAD_ARGUMENTS, READONLY, QueryError, quoted

UNKNOWN_SETTING: Final = 115

# Parameters of a request that are no settings: HTTP itself uses them.
RESERVED: Final = frozenset(
    {"", "query", "database", "default_format", "user", "password", "query_id", "session_id", "session_timeout"}
    | {"session_check", "close_session", "quota_key", "compress", "decompress", "buffer_size", "wait_end_of_query"}
    | {"role", "client_protocol_version", "stacktrace"}
)

ROWS, SECONDS = 100_000, 30  # of an answer and for a query, where a reader names no limits
MOST: Final = {  # what a reader may ask for, and how far; an answer's bytes and a query's memory: see `caps`
    "max_result_rows": 10_000_000,
    "max_execution_time": 3_600,
    "max_threads": 64,
    "max_block_size": 1 << 20,
}
# Overflow by "break" cuts an answer: only where a client asks for it, as JDBC's setMaxRows does.
_OVERFLOW: Final = frozenset({"result_overflow_mode", "timeout_overflow_mode"})

# What an answer looks like. A path, an address and a secret are not among them.
_FORM: Final = re.compile(
    r"output_format_(?!schema\b|avro_confluent)\w+|format_(?:csv|tsv|custom|binary|hive_text|json_object)_\w+|extremes"
    r"|(?:date_time|interval)_output_format|bool_(?:true|false)_representation|low_cardinality_allow_in_native_format"
    r"|formatdatetime_\w+|show_table_uuid_in_table_create_query_if_not_nil|limit|offset"
)
# What a query means.
_MEANING: Final = frozenset(
    {
        "join_use_nulls",
        "join_default_strictness",
        "any_join_distinct_right_table_keys",
        "joined_subquery_requires_alias",
    }
    | {"union_default_mode", "intersect_default_mode", "except_default_mode", "group_by_use_nulls", "totals_mode"}
    | {"aggregate_functions_null_for_empty", "transform_null_in", "prefer_column_name_to_alias", "cast_keep_nullable"}
    | {
        "enable_positional_arguments",
        "empty_result_for_aggregation_by_empty_set",
        "final",
        "count_distinct_implementation",
    }
    | {"data_type_default_nullable", "session_timezone", "date_time_input_format", "asterisk_include_alias_columns"}
    | {"asterisk_include_materialized_columns", "max_rows_to_group_by", "group_by_overflow_mode", "max_rows_to_read"}
    | {"max_bytes_to_read", "read_overflow_mode", "max_columns_to_read"}
)
# What has no effect on a read of this engine: times of connections, of inserts and of changes, words for logs.
_IDLE: Final = re.compile(
    r"(?:http_|tcp_)?(?:connect|receive|send|keep_alive)_timeout(?:_ms)?|log_(?:comment|queries|query_settings|profile_events)"
    r"|send_progress_in_http_headers|http_headers_progress_interval_ms|http_(?:wait_end_of_query|response_buffer_size)"
    r"|http_zlib_compression_level|enable_http_compression|cancel_http_readonly_queries_on_client_close|send_logs_level"
    r"|(?:wait_for_)?async_insert|insert_deduplicate|send_profile_events|distributed_foreground_insert"
    r"|(?:mutations|alter|replication_alter_partitions|lightweight_deletes|insert_distributed)_sync"
)


# clickhouse-connect, and by it dbt, asks this first and then sends no setting that is readonly. In a readonly session
# the engine says so of all of them.
QUESTION: Final = re.compile(
    r"\s*SELECT name, value, readonly FROM system\.settings LIMIT 10000(?P<rest>\s*|\s+FORMAT.*)"
)


def answerable(question: re.Match[str], names: Iterable[str]) -> str:
    """The question about settings, so that its answer says `readonly` of those alone that a request may not give.

    Args:
        question: a match of QUESTION.
        names: of the engine's settings.
    """
    ours = ", ".join(quoted(name) for name in names if _is_given(name))
    return f"SELECT name, value, toUInt8(name NOT IN ({ours})) AS readonly FROM system.settings{question['rest']}"


def caps(memory_bytes: int) -> dict[str, str]:
    """What holds in every session of a reader, where its request gives nothing else."""
    return {
        "log_comment": "",
        "max_result_rows": str(ROWS),
        "max_execution_time": str(SECONDS),
        "result_overflow_mode": "throw",
        "timeout_overflow_mode": "throw",
        "max_result_bytes": str(memory_bytes // 4),
        "max_memory_usage": str(memory_bytes),
        "date_time_output_format": "simple",
        "readonly": "1",  # last: after it nothing can be changed
    }


def chosen(params: Mapping[str, str], memory_bytes: int, known: Callable[[str], bool]) -> dict[str, str]:
    """Settings of a reader's session: the caps, and over them what its request gives.

    Args:
        params: all parameters of the request.
        memory_bytes: what one query may take.
        known: whether the engine has a setting of a name.

    Raises:
        QueryError: a setting that is unknown, not for readers, or beyond its cap.
    """
    held = caps(memory_bytes)
    readonly = held.pop("readonly")
    most = MOST | {name: int(held[name]) for name in ("max_result_bytes", "max_memory_usage")}
    for name, value in given(params).items():
        if name in most:
            _must_be_within(name, value, most[name])
        elif name in _OVERFLOW:
            _must_be_overflow(name, value)
        elif not _is_given(name):
            raise _refusal(name, known=known(name))
        held[name] = value
    return held | {"readonly": readonly}


def _is_given(name: str) -> bool:
    """Whether a reader's request may give a setting."""
    free = _FORM.fullmatch(name) or name in _MEANING or _IDLE.fullmatch(name)
    return bool(free) or name in MOST or name in _OVERFLOW


def given(params: Mapping[str, str]) -> dict[str, str]:
    """The settings among the parameters of a request."""
    return {name: value for name, value in params.items() if name not in RESERVED and not name.startswith("param_")}


def _must_be_within(name: str, value: str, most: int) -> None:
    if not re.fullmatch(r"[0-9]{1,18}", value) or not 1 <= int(value) <= most:
        raise QueryError.of(BAD_ARGUMENTS, "BAD_ARGUMENTS", f"{name} must be 1 to {most}, was {value[:40]!r}")


def _must_be_overflow(name: str, value: str) -> None:
    if value not in ("throw", "break"):
        raise QueryError.of(BAD_ARGUMENTS, "BAD_ARGUMENTS", f"{name} must be throw or break, was {value[:40]!r}")


def _refusal(name: str, *, known: bool) -> QueryError:
    if known:
        return QueryError.of(
            READONLY,
            "READONLY",
            f"Cannot modify '{name}' setting in readonly mode: it is not for readers; fix: leave it out",
        )
    return unknown(name)


def unknown(name: str) -> QueryError:
    """The error for a name that is no setting."""
    return QueryError.of(UNKNOWN_SETTING, "UNKNOWN_SETTING", f"Unknown setting {name[:80]!r}; fix: leave it out")
