"""The tables, and the views that people look at.

A command has one row in `commands`, which holds its state, and once it has ended one in `results` under the same `seq`.
Output is in `pieces`, apart from the state: changing the state of a row with 1 MB in it took 5.5 ms, in a table of its
own 0.17 ms (measured, SQLite 3.40). Times are stored as milliseconds since 1970; the views show them as UTC. Views show
text in one line and without control characters, which could steer a terminal.

Each migration runs once per file, in one transaction with its record. A released one is never edited.
"""

# ruff: noqa: S608  # what is put into these statements is this file's own

import sqlite3

from sqlite_utils import Database, Migrations

SET = "kubently-agent"
migrations = Migrations(SET)

TABLES = """
create table meta (
  key text primary key,
  value text not null
) strict, without rowid;

create table commands (
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
create index by_state on commands (state);
create table results (
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
create index kept on results (seq, stdout_bytes, stderr_bytes) where output = 'kept';

create table pieces (
  seq integer not null,
  stream text not null check (stream in ('stdout', 'stderr')),
  part integer not null,                   -- 0, 1, 2 ...
  text text not null
) strict;
create unique index pieces_in_order on pieces (seq, stream, part);
"""


def rows_by_name(db: sqlite3.Connection) -> None:
    """Give rows names, and a damaged text, which isn't UTF-8 any more, as far as it goes: its checksum says so, where
    an error would say it again and again.
    """
    db.row_factory = sqlite3.Row
    db.text_factory = lambda data: data.decode("utf-8", "replace")


def insert(db: sqlite3.Connection, table: str, /, **columns: object) -> int | None:
    """Insert one row and return its key; None if it is there already, and it stays as it is."""
    names, places = ", ".join(columns), ", ".join("?" * len(columns))
    statement = f"insert into {table} ({names}) values ({places}) on conflict do nothing returning rowid"
    row = db.execute(statement, tuple(columns.values())).fetchone()
    return None if row is None else int(row[0])


def note(db: sqlite3.Connection, **values: object) -> None:
    """Set values in `meta`, for people; None deletes one. Nothing is written that is there already."""
    for key, value in values.items():
        if value is None:
            db.execute("delete from meta where key = ?", (key,))
        else:
            db.execute(
                "insert into meta (key, value) values (?, ?)"
                " on conflict (key) do update set value = excluded.value where value <> excluded.value",
                (key, str(value)),
            )


def _utc(column: str) -> str:
    return f"strftime('%Y-%m-%dT%H:%M:%SZ', {column} / 1000, 'unixepoch')"


def _since(column: str) -> str:
    return f"max(0, cast(strftime('%s', 'now') as integer) - {column} / 1000)"


def _plain(column: str) -> str:
    for code in (7, 8, 9, 10, 13, 27, 127, 155):  # BEL, backspace, tab, line ends, ESC, DEL, CSI
        column = f"replace({column}, char({code}), char(65533))"
    return column


_ID = _plain("c.command_id")

VIEWS = f"""
create view status as select
  (select value from meta where key = 'full_because') as full_because,
  (select count(*) from commands where state = 'accepted') as waiting_to_run,
  (select count(*) from commands where state = 'running') as running,
  (select count(*) from commands where state = 'spooled') as waiting_to_be_sent,
  (select ifnull(sum(r.stdout_bytes + r.stderr_bytes), 0) from commands c join results r using (seq)
    where c.state = 'spooled') as waiting_to_be_sent_bytes,
  (select {_utc("min(r.finished_unix_ms)")} from commands c join results r using (seq)
    where c.state = 'spooled') as oldest_waiting_since_at,
  (select count(*) from commands where state = 'rejected') as rejected,
  (select count(*) from results) - (select count(*) from commands where state = 'spooled')
    - (select count(*) from commands where state = 'rejected') as delivered,
  (select {_utc("max(accepted_unix_ms)")} from (select accepted_unix_ms from commands order by seq desc limit 1))
    as last_accepted_at,
  (select {_utc("max(settled_unix_ms)")} from (select r.settled_unix_ms from results r join commands c using (seq)
    where c.state = 'delivered' order by seq desc limit 100)) as last_delivered_at,
  (select last_error from (select r.last_error, r.attempts from commands c join results r using (seq)
    where c.state = 'spooled' and r.last_error is not null order by c.seq limit 1)) as last_trouble,
  (select cast(value as integer) from meta where key = 'capacity_bytes') as capacity_bytes,
  (select value from meta where key = 'opened_at') as opened_at,
  (select cast(value as integer) from meta where key = 'pid') as pid,
  (select value from meta where key = 'recovery') as last_recovery,
  (select value from meta where key = 'damage') as last_damage;

create view backlog as select
  {_ID} as command_id, c.command, r.outcome,
  {_utc("r.finished_unix_ms")} as finished_at, {_since("r.finished_unix_ms")} as waiting_s,
  r.stdout_bytes + r.stderr_bytes as output_bytes, r.attempts,
  {_utc("r.next_attempt_unix_ms")} as next_attempt_at, r.last_http_status, r.last_error
from commands c join results r using (seq) where c.state = 'spooled' order by c.seq;

create view recent as select
  {_utc("c.accepted_unix_ms")} as accepted_at, {_ID} as command_id, c.command, c.state,
  r.outcome, r.exit_code, r.execution_time_ms, r.output_bytes, r.error,
  {_utc("r.settled_unix_ms")} as settled_at, r.output = 'gone' as output_gone
from commands c left join results r using (seq) order by c.seq desc limit 100;

create view stuck as select * from (
  select c.seq, {_ID} as command_id, c.command, c.state,
    'waits to run since ' || {_since("c.accepted_unix_ms")} || ' s' as why, {_utc("c.accepted_unix_ms")} as since_at
  from commands c where c.state = 'accepted' and {_since("c.accepted_unix_ms")} >= 60
  union all
  select c.seq, {_ID}, c.command, c.state,
    'runs since ' || {_since("c.started_unix_ms")} || ' s, run ' || c.runs, {_utc("c.started_unix_ms")}
  from commands c where c.state = 'running' and ({_since("c.started_unix_ms")} >= 120 or c.runs > 1)
  union all
  select c.seq, {_ID}, c.command, c.state,
    'sent ' || r.attempts || ' times without success: ' || ifnull(r.last_error, 'no answer'),
    {_utc("r.finished_unix_ms")}
  from commands c join results r using (seq) where c.state = 'spooled' and r.attempts >= 2
  union all
  select c.seq, {_ID}, c.command, c.state,
    'refused by the API' || ifnull(' with status ' || r.last_http_status, '') || ': ' || ifnull(r.last_error, ''),
    {_utc("r.settled_unix_ms")}
  from commands c join results r using (seq) where c.state = 'rejected'
) order by seq;

create view slow as select
  {_ID} as command_id, c.command, r.outcome, r.execution_time_ms,
  c.started_unix_ms - c.accepted_unix_ms as waited_to_run_ms,
  r.settled_unix_ms - r.finished_unix_ms as waited_to_be_sent_ms,
  r.output_bytes, {_utc("c.accepted_unix_ms")} as accepted_at
from commands c join results r using (seq) order by r.execution_time_ms desc limit 50;
"""


@migrations()
def version_1(db: Database) -> None:
    """Commands, results, pieces, meta; and the views for people at the prompt."""
    for statement in (TABLES + VIEWS).split(";\n"):  # executescript() would first commit the migration's transaction
        db.execute(statement)


KNOWN = frozenset({"version_1"})  # all migrations of this version. A file with others is of a later one
