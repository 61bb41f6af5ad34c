-- Where the log of a soak that follows a topic ended when it last looked, every few seconds.
CREATE OR REPLACE VIEW log_ends AS
SELECT * FROM violet_log_ends FINAL;
