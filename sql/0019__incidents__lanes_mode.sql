-- 0019 incidents: the lanes that an incident is about, each with what is known of why, and the mode that the soak is in from it on.
-- Why: status asks fields, not sentences.  Pairs: journal/ledger/incident.py  Rollback: drop in a later migration.
-- Rows of before have neither column: of them alone the defaults read the words that an older version wrote.
ALTER TABLE violet_incidents
    ADD COLUMN IF NOT EXISTS lanes Map(String, String) DEFAULT if(code = 'LANE_MISSING', mapFromArrays(
        arrayMap(each -> each[1], extractAllGroupsVertical(substring(detail, 1, position(detail, ':') - 1), '(?:^|, )(base|dc|acb|ob|esof)\\b(?: \\(([^)]*)\\))?')),
        arrayMap(each -> each[2], extractAllGroupsVertical(substring(detail, 1, position(detail, ':') - 1), '(?:^|, )(base|dc|acb|ob|esof)\\b(?: \\(([^)]*)\\))?'))
    ), CAST(map(), 'Map(String, String)')),
    ADD COLUMN IF NOT EXISTS mode Nullable(Enum8('RUN' = 0, 'DEGRADED' = 1, 'HALTED' = 2)) DEFAULT
        multiIf(code != 'DISK_SHORT', NULL, startsWith(detail, 'DEGRADED'), 'DEGRADED', 'RUN');
