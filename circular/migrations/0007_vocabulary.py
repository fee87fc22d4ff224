"""The concept vocabulary: what things are, and what people call them. And the words of titles, which typos are held against."""

TABLES = """
CREATE TABLE concept (code TEXT PRIMARY KEY, broader TEXT NOT NULL, category TEXT NOT NULL, kind TEXT NOT NULL);
CREATE TABLE concept_word (concept TEXT NOT NULL REFERENCES concept (code), language TEXT NOT NULL, word TEXT NOT NULL,
  source TEXT NOT NULL, PRIMARY KEY (concept, language, word));
CREATE TABLE collision (word TEXT NOT NULL, concept TEXT NOT NULL, rule TEXT NOT NULL, PRIMARY KEY (word, concept));
CREATE TABLE title_word (word TEXT PRIMARY KEY);
"""


def up(migrator, db):
    for statement in TABLES.split(";"):
        if statement.strip():
            db.execute_sql(statement)
