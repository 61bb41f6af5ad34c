-- What retention dropped: planes and the bytes of rejects up to an offset, and when the last of them was journaled.
CREATE OR REPLACE VIEW pruned AS
SELECT * FROM violet_pruned FINAL;
