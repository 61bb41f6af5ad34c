-- Contracts of comparisons with BLUE: each once, as it was anchored first, before its window opened or behind.
CREATE OR REPLACE VIEW contracts AS
SELECT *, toUnixTimestamp64Milli(anchored_at) < from_ms AS is_before
FROM violet_contracts
ORDER BY contract_hash, anchored_at
LIMIT 1 BY contract_hash;
