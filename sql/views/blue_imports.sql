-- What of BLUE's trades was brought in; a FORGOTTEN import's rows count nowhere.
CREATE OR REPLACE VIEW blue_imports AS
SELECT * EXCEPT revision FROM violet_blue_imports FINAL;
