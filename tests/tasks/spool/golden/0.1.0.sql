BEGIN TRANSACTION;
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'kubently-agent','version_1','2026-11-28 06:59:03.917223+00:00');
CREATE TABLE commands (
  seq integer primary key,                 -- in the order of acceptance, never used twice
  command_id text not null unique,
  command text not null,                   -- for people, at most 300 characters
  tool text not null,
  args text,                               -- a JSON list; null when it was given up for room, after delivery
  request text,                            -- JSON; null in it for kubectl
  timeout_seconds real,
  correlation_id text,
  session_id text,
  state text not null check (state in ('accepted', 'running', 'spooled', 'delivered', 'rejected')),
  runs integer not null default 0,         -- how often it was started
  accepted_unix_ms integer not null,
  started_unix_ms integer,
  crc32 integer not null                   -- of id, args, timeout, correlation, session, tool, request
) strict;
INSERT INTO "commands" VALUES(1,'c-delivered','get pods -n shop','kubectl','["get", "pods", "-n", "shop"]','null',10.0,'trace-delivered',NULL,'delivered',1,1795000000000,1795000000000,3996371171);
INSERT INTO "commands" VALUES(2,'c-rejected','get pods -n shop','kubectl','["get", "pods", "-n", "shop"]','null',10.0,'trace-rejected',NULL,'rejected',1,1795000000000,1795000000000,903317461);
INSERT INTO "commands" VALUES(3,'c-spooled','get pods -n shop','kubectl','["get", "pods", "-n", "shop"]','null',10.0,'trace-spooled',NULL,'spooled',1,1795000000000,1795000000000,3383600773);
INSERT INTO "commands" VALUES(4,'c-running','get pods -n shop','kubectl','["get", "pods", "-n", "shop"]','null',10.0,'trace-running',NULL,'running',1,1795000000000,1795000000000,1881610397);
INSERT INTO "commands" VALUES(5,'c-accepted','get pods -n shop','kubectl','["get", "pods", "-n", "shop"]','null',10.0,'trace-accepted',NULL,'accepted',0,1795000000000,NULL,4182671656);
INSERT INTO "commands" VALUES(6,'c-search','log_search {"namespace": "shop", "selector": "app=web", "query": "ERROR"}','log_search','[]','{"namespace": "shop", "selector": "app=web", "query": "ERROR"}',20.0,NULL,'s','accepted',0,1795000000000,NULL,2779107045);
INSERT INTO "commands" VALUES(7,'c-busy','get nodes','kubectl','["get", "nodes"]','null',NULL,NULL,NULL,'spooled',0,1795000000000,NULL,316732703);
CREATE TABLE meta (
  key text primary key,
  value text not null
) strict, without rowid;
INSERT INTO "meta" VALUES('capacity_bytes','33554432');
INSERT INTO "meta" VALUES('clock','golden 1794995000000');
INSERT INTO "meta" VALUES('opened_at','2026-11-18T11:06:40Z');
INSERT INTO "meta" VALUES('pid','28891');
CREATE TABLE pieces (
  seq integer not null,
  stream text not null check (stream in ('stdout', 'stderr')),
  part integer not null,                   -- 0, 1, 2 ...
  text text not null
) strict;
INSERT INTO "pieces" VALUES(1,'stdout',0,'output of delivered
');
INSERT INTO "pieces" VALUES(1,'stderr',0,'a warning
');
INSERT INTO "pieces" VALUES(2,'stdout',0,'output of rejected
');
INSERT INTO "pieces" VALUES(2,'stderr',0,'a warning
');
INSERT INTO "pieces" VALUES(3,'stdout',0,'output of spooled
');
INSERT INTO "pieces" VALUES(3,'stderr',0,'a warning
');
CREATE TABLE results (
  seq integer primary key,
  command_id text not null,                -- once more, so that a result can be salvaged without its command
  outcome text not null,
  exit_code integer,
  error text,
  rule text,
  execution_time_ms integer not null,
  output_bytes integer not null,           -- UTF-8 bytes of stdout in full, those beyond the cap included
  truncated integer not null check (truncated in (0, 1)),
  redactions integer not null,
  output text not null check (output in ('whole', 'kept', 'gone')),  -- 'kept': delivered, still here for people
  stdout_bytes integer not null,           -- UTF-8 bytes here
  stderr_bytes integer not null,
  stdout_json_bytes integer not null,      -- the same inside a JSON string
  stderr_json_bytes integer not null,
  stdout_crc32 integer not null,
  stderr_crc32 integer not null,
  crc32 integer not null,                  -- of all that the API is told
  attempts integer not null default 0,
  next_attempt_unix_ms integer,            -- for people; the agent goes by a clock that doesn't jump
  last_http_status integer,
  last_error text,
  finished_unix_ms integer not null,
  settled_unix_ms integer                  -- delivered or rejected
) strict;
INSERT INTO "results" VALUES(1,'c-delivered','succeeded',0,NULL,NULL,12,20,0,1,'kept',20,10,21,11,2233513711,2062316920,2954833215,1,NULL,200,NULL,1795000000000,1795000000000);
INSERT INTO "results" VALUES(2,'c-rejected','succeeded',0,NULL,NULL,12,20,0,1,'whole',19,10,20,11,1811507495,2062316920,783129546,1,NULL,404,'unknown',1795000000000,1795000000000);
INSERT INTO "results" VALUES(3,'c-spooled','succeeded',0,NULL,NULL,12,20,0,1,'whole',18,10,19,11,2297773462,2062316920,3095751217,1,1795000005000,503,'busy',1795000000000,NULL);
INSERT INTO "results" VALUES(7,'c-busy','busy',NULL,'no room',NULL,0,0,0,0,'whole',0,0,0,0,0,0,648649048,0,NULL,NULL,NULL,1795000000000,NULL);
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
CREATE INDEX by_state on commands (state);
CREATE INDEX kept on results (seq, stdout_bytes, stderr_bytes) where output = 'kept';
CREATE UNIQUE INDEX pieces_in_order on pieces (seq, stream, part);
CREATE VIEW status as select
  (select value from meta where key = 'full_because') as full_because,
  (select count(*) from commands where state = 'accepted') as waiting_to_run,
  (select count(*) from commands where state = 'running') as running,
  (select count(*) from commands where state = 'spooled') as waiting_to_be_sent,
  (select ifnull(sum(r.stdout_bytes + r.stderr_bytes), 0) from commands c join results r using (seq)
    where c.state = 'spooled') as waiting_to_be_sent_bytes,
  (select strftime('%Y-%m-%dT%H:%M:%SZ', min(r.finished_unix_ms) / 1000, 'unixepoch') from commands c join results r using (seq)
    where c.state = 'spooled') as oldest_waiting_since_at,
  (select count(*) from commands where state = 'rejected') as rejected,
  (select count(*) from results) - (select count(*) from commands where state = 'spooled')
    - (select count(*) from commands where state = 'rejected') as delivered,
  (select strftime('%Y-%m-%dT%H:%M:%SZ', max(accepted_unix_ms) / 1000, 'unixepoch') from (select accepted_unix_ms from commands order by seq desc limit 1))
    as last_accepted_at,
  (select strftime('%Y-%m-%dT%H:%M:%SZ', max(settled_unix_ms) / 1000, 'unixepoch') from (select r.settled_unix_ms from results r join commands c using (seq)
    where c.state = 'delivered' order by seq desc limit 100)) as last_delivered_at,
  (select last_error from (select r.last_error, r.attempts from commands c join results r using (seq)
    where c.state = 'spooled' and r.last_error is not null order by c.seq limit 1)) as last_trouble,
  (select cast(value as integer) from meta where key = 'capacity_bytes') as capacity_bytes,
  (select value from meta where key = 'opened_at') as opened_at,
  (select cast(value as integer) from meta where key = 'pid') as pid,
  (select value from meta where key = 'recovery') as last_recovery,
  (select value from meta where key = 'damage') as last_damage;
CREATE VIEW backlog as select
  replace(replace(replace(replace(replace(replace(replace(replace(c.command_id, char(7), char(65533)), char(8), char(65533)), char(9), char(65533)), char(10), char(65533)), char(13), char(65533)), char(27), char(65533)), char(127), char(65533)), char(155), char(65533)) as command_id, c.command, r.outcome,
  strftime('%Y-%m-%dT%H:%M:%SZ', r.finished_unix_ms / 1000, 'unixepoch') as finished_at, max(0, cast(strftime('%s', 'now') as integer) - r.finished_unix_ms / 1000) as waiting_s,
  r.stdout_bytes + r.stderr_bytes as output_bytes, r.attempts,
  strftime('%Y-%m-%dT%H:%M:%SZ', r.next_attempt_unix_ms / 1000, 'unixepoch') as next_attempt_at, r.last_http_status, r.last_error
from commands c join results r using (seq) where c.state = 'spooled' order by c.seq;
CREATE VIEW recent as select
  strftime('%Y-%m-%dT%H:%M:%SZ', c.accepted_unix_ms / 1000, 'unixepoch') as accepted_at, replace(replace(replace(replace(replace(replace(replace(replace(c.command_id, char(7), char(65533)), char(8), char(65533)), char(9), char(65533)), char(10), char(65533)), char(13), char(65533)), char(27), char(65533)), char(127), char(65533)), char(155), char(65533)) as command_id, c.command, c.state,
  r.outcome, r.exit_code, r.execution_time_ms, r.output_bytes, r.error,
  strftime('%Y-%m-%dT%H:%M:%SZ', r.settled_unix_ms / 1000, 'unixepoch') as settled_at, r.output = 'gone' as output_gone
from commands c left join results r using (seq) order by c.seq desc limit 100;
CREATE VIEW stuck as select * from (
  select c.seq, replace(replace(replace(replace(replace(replace(replace(replace(c.command_id, char(7), char(65533)), char(8), char(65533)), char(9), char(65533)), char(10), char(65533)), char(13), char(65533)), char(27), char(65533)), char(127), char(65533)), char(155), char(65533)) as command_id, c.command, c.state,
    'waits to run since ' || max(0, cast(strftime('%s', 'now') as integer) - c.accepted_unix_ms / 1000) || ' s' as why, strftime('%Y-%m-%dT%H:%M:%SZ', c.accepted_unix_ms / 1000, 'unixepoch') as since_at
  from commands c where c.state = 'accepted' and max(0, cast(strftime('%s', 'now') as integer) - c.accepted_unix_ms / 1000) >= 60
  union all
  select c.seq, replace(replace(replace(replace(replace(replace(replace(replace(c.command_id, char(7), char(65533)), char(8), char(65533)), char(9), char(65533)), char(10), char(65533)), char(13), char(65533)), char(27), char(65533)), char(127), char(65533)), char(155), char(65533)), c.command, c.state,
    'runs since ' || max(0, cast(strftime('%s', 'now') as integer) - c.started_unix_ms / 1000) || ' s, run ' || c.runs, strftime('%Y-%m-%dT%H:%M:%SZ', c.started_unix_ms / 1000, 'unixepoch')
  from commands c where c.state = 'running' and (max(0, cast(strftime('%s', 'now') as integer) - c.started_unix_ms / 1000) >= 120 or c.runs > 1)
  union all
  select c.seq, replace(replace(replace(replace(replace(replace(replace(replace(c.command_id, char(7), char(65533)), char(8), char(65533)), char(9), char(65533)), char(10), char(65533)), char(13), char(65533)), char(27), char(65533)), char(127), char(65533)), char(155), char(65533)), c.command, c.state,
    'sent ' || r.attempts || ' times without success: ' || ifnull(r.last_error, 'no answer'),
    strftime('%Y-%m-%dT%H:%M:%SZ', r.finished_unix_ms / 1000, 'unixepoch')
  from commands c join results r using (seq) where c.state = 'spooled' and r.attempts >= 2
  union all
  select c.seq, replace(replace(replace(replace(replace(replace(replace(replace(c.command_id, char(7), char(65533)), char(8), char(65533)), char(9), char(65533)), char(10), char(65533)), char(13), char(65533)), char(27), char(65533)), char(127), char(65533)), char(155), char(65533)), c.command, c.state,
    'refused by the API' || ifnull(' with status ' || r.last_http_status, '') || ': ' || ifnull(r.last_error, ''),
    strftime('%Y-%m-%dT%H:%M:%SZ', r.settled_unix_ms / 1000, 'unixepoch')
  from commands c join results r using (seq) where c.state = 'rejected'
) order by seq;
CREATE VIEW slow as select
  replace(replace(replace(replace(replace(replace(replace(replace(c.command_id, char(7), char(65533)), char(8), char(65533)), char(9), char(65533)), char(10), char(65533)), char(13), char(65533)), char(27), char(65533)), char(127), char(65533)), char(155), char(65533)) as command_id, c.command, r.outcome, r.execution_time_ms,
  c.started_unix_ms - c.accepted_unix_ms as waited_to_run_ms,
  r.settled_unix_ms - r.finished_unix_ms as waited_to_be_sent_ms,
  r.output_bytes, strftime('%Y-%m-%dT%H:%M:%SZ', c.accepted_unix_ms / 1000, 'unixepoch') as accepted_at
from commands c join results r using (seq) order by r.execution_time_ms desc limit 50;
COMMIT;
