"""What a reader may set: nothing lifts a cap, reaches beyond the journal, or is dropped without a word."""

import pytest

from journal.engine.reader import QueryError
from journal.engine.setting import MOST, caps, chosen

GIB = 1 << 30
DANGEROUS = ["readonly", "allow_ddl", "allow_introspection_functions", "allow_experimental_analyzer", "format_schema", "format_template_row", "format_template_resultset", "output_format_schema", "format_avro_schema_registry_url", "input_format_record_errors_file_path", "profile", "custom_settings_prefixes", "url_base", "user_files_path", "into_outfile_create_parent_directories", "max_bytes_before_external_sort", "additional_table_filters", "additional_result_filter", "database_replicated_always_detach_permanently", "http_response_headers", "add_http_cors_header", "s3_truncate_on_insert", "rename_files_after_processing", "sql_security", "query_plan_enable_optimizations", "output_format_avro_confluent_subject", "format_display_secrets_in_show_and_select", "max_sessions_for_user"]  # fmt: skip


def test_readonly_is_the_last_setting_whatever_is_given():
    assert list(caps(GIB))[-1] == "readonly"
    assert (
        list(chosen({"limit": "5", "max_result_rows": "5", "log_comment": "x"}, GIB, lambda name: True))[-1]
        == "readonly"
    )


@pytest.mark.parametrize("name", DANGEROUS)
def test_what_could_do_harm_is_refused_by_name(name):
    with pytest.raises(QueryError, match=f"'{name}'") as refused:
        chosen({name: "1"}, GIB, lambda name: True)
    assert refused.value.code == 164


def test_a_name_that_is_no_setting_is_unknown():
    with pytest.raises(QueryError, match="Unknown setting 'nosuch'") as refused:
        chosen({"nosuch": "1"}, GIB, lambda name: False)
    assert refused.value.code == 115


def test_a_cap_may_be_moved_to_its_bound_and_no_further():
    for name, most in (MOST | {"max_memory_usage": GIB, "max_result_bytes": GIB // 4}).items():
        assert chosen({name: str(most)}, GIB, lambda name: True)[name] == str(most)
        for value in ("0", str(most + 1), "-1", "1e3", "1; DROP TABLE d", "9" * 30, ""):
            with pytest.raises(QueryError, match=f"{name} must be 1 to {most}"):
                chosen({name: value}, GIB, lambda name: True)


def test_parameters_of_the_protocol_and_of_the_query_are_no_settings():
    params = {"query": "SELECT 1", "param_readonly": "0", "compress": "1", "session_id": "s", "": "x"}
    assert chosen(params, GIB, lambda name: False) == caps(GIB)
