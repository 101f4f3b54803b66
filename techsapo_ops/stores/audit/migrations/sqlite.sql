-- What all migrations together make of an empty SQLite file, so that most starts need no Alembic.
-- A new migration changes it, too; a test holds it to them.
CREATE TABLE alembic_version (
  version_num VARCHAR(32) NOT NULL,
  CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
CREATE TABLE audit_requests (
  id CHAR(32) NOT NULL,
  time DATETIME NOT NULL,
  instance VARCHAR(64) NOT NULL,
  request_id VARCHAR(128) NOT NULL,
  user_id VARCHAR(64),
  task_type VARCHAR(16) NOT NULL,
  prompt_hash CHAR(64) NOT NULL,
  providers TEXT NOT NULL,
  confidence DOUBLE,
  consensus DOUBLE,
  accepted BOOLEAN,
  simulated BOOLEAN NOT NULL,
  cache VARCHAR(8) NOT NULL,
  cost_usd NUMERIC(18, 9) NOT NULL,
  status VARCHAR(32) NOT NULL,
  processing_ms INTEGER NOT NULL,
  key_id VARCHAR(32),
  prompt TEXT,
  threshold DOUBLE,
  claimed_user VARCHAR(64),
  sources TEXT,
  panel TEXT,
  answer TEXT,
  PRIMARY KEY (id)
);
CREATE TABLE audit_calls (
  request_row CHAR(32) NOT NULL,
  number INTEGER NOT NULL,
  time DATETIME NOT NULL,
  provider VARCHAR(64) NOT NULL,
  model VARCHAR(128) NOT NULL,
  phase VARCHAR(16) NOT NULL,
  status VARCHAR(32) NOT NULL,
  cost_usd NUMERIC(18, 9) NOT NULL,
  tokens_input INTEGER NOT NULL,
  tokens_output INTEGER NOT NULL,
  milliseconds INTEGER NOT NULL,
  version VARCHAR(128) DEFAULT '' NOT NULL,
  PRIMARY KEY (request_row, number)
);
CREATE INDEX ix_audit_requests_time ON audit_requests (time);
CREATE INDEX ix_audit_requests_request_id ON audit_requests (request_id);
CREATE INDEX ix_audit_calls_time ON audit_calls (time);
CREATE TABLE audit_spent (
  key_id VARCHAR(32) NOT NULL,
  hour CHAR(13) NOT NULL,
  simulated BOOLEAN NOT NULL,
  instance VARCHAR(64) NOT NULL,
  nano BIGINT NOT NULL,
  PRIMARY KEY (key_id, hour, simulated, instance)
);
CREATE TABLE incidents (
  number INTEGER NOT NULL,
  version INTEGER NOT NULL,
  began DATETIME NOT NULL,
  title VARCHAR(300) NOT NULL,
  pages BOOLEAN NOT NULL,
  subjects TEXT NOT NULL,
  alerts INTEGER NOT NULL,
  firing INTEGER NOT NULL,
  quiet DATETIME,
  ended DATETIME,
  cause VARCHAR(500),
  holders VARCHAR(500) NOT NULL,
  entries INTEGER NOT NULL,
  investigation VARCHAR(8) NOT NULL,
  investigated DATETIME,
  worker VARCHAR(64),
  lease DATETIME,
  PRIMARY KEY (number)
);
CREATE TABLE incident_alerts (
  incident INTEGER NOT NULL,
  fingerprint CHAR(32) NOT NULL,
  name VARCHAR(200) NOT NULL,
  labels TEXT NOT NULL,
  summary VARCHAR(1000) NOT NULL,
  expression TEXT NOT NULL,
  pages BOOLEAN NOT NULL,
  began DATETIME NOT NULL,
  reported DATETIME NOT NULL,
  ended DATETIME,
  PRIMARY KEY (incident, fingerprint)
);
CREATE TABLE incident_entries (
  incident INTEGER NOT NULL,
  number INTEGER NOT NULL,
  time DATETIME NOT NULL,
  kind VARCHAR(16) NOT NULL,
  author VARCHAR(64) NOT NULL,
  text TEXT NOT NULL,
  PRIMARY KEY (incident, number)
);
CREATE TABLE incident_events (
  id CHAR(32) NOT NULL,
  time DATETIME NOT NULL,
  recorded DATETIME NOT NULL,
  text VARCHAR(500) NOT NULL,
  service VARCHAR(64) NOT NULL,
  host VARCHAR(64) NOT NULL,
  author VARCHAR(64) NOT NULL,
  PRIMARY KEY (id)
);
CREATE INDEX ix_incidents_ended ON incidents (ended);
CREATE INDEX ix_incident_alerts_fingerprint ON incident_alerts (fingerprint);
CREATE INDEX ix_incident_events_time ON incident_events (time);
CREATE TABLE answer_labels (
  id CHAR(32) NOT NULL,
  request_id VARCHAR(128) NOT NULL,
  who VARCHAR(64) NOT NULL,
  label VARCHAR(8) NOT NULL,
  solved BOOLEAN,
  at DATETIME NOT NULL,
  via VARCHAR(8) NOT NULL,
  PRIMARY KEY (id)
);
CREATE INDEX ix_answer_labels_request_id ON answer_labels (request_id);
CREATE INDEX ix_answer_labels_at ON answer_labels (at);
INSERT INTO alembic_version (version_num) VALUES ('0006');
