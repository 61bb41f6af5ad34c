-- 0020 days: the clauses that a day did not pass, each with its worst verdict, and its rejects that were not known to be planes.
-- Why: status asks fields, not the words of `held`, and counts rejects instead of computing them back from a ratio.
-- Pairs: journal/judge/day.py  Rollback: drop in a later migration.
-- Rows of before have neither column: of them alone the defaults read `held` and the ratio.
ALTER TABLE violet_days
    ADD COLUMN IF NOT EXISTS clauses Map(String, String) DEFAULT mapFromArrays(
        arrayMap(each -> substring(each, 1, length(each) - 5), arrayFilter(each -> match(each, ' (HOLD|FAIL)$'), splitByString('; ', held))),
        arrayMap(each -> substring(each, -4), arrayFilter(each -> match(each, ' (HOLD|FAIL)$'), splitByString('; ', held)))
    ) AFTER held,
    ADD COLUMN IF NOT EXISTS scan_rejects UInt64 DEFAULT if(ifNull(coverage, 0) > 0,
        toUInt64(round((decisions + evaluations) / ifNull(coverage, 1))) - (decisions + evaluations),
        if(coverage IS NULL, 0, rejects)) AFTER rejects;
