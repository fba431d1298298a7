//! The tables of the broker, and the statements on them.

use rusqlite::Connection;

use crate::schema::{LEVEL, Schema};

/// Every statement on the tables. The prefix was checked to be nothing but a name.
///
/// Times are milliseconds since 1970, UTC.
#[derive(Debug)]
pub(super) struct Tables {
    messages: String,
    groups: String,
    deliveries: String,
    metadata: String,
    pub(super) publish: String,
    /// A message again, on another topic, without its time to live.
    pub(super) copy: String,
    pub(super) message: String,
    /// The messages of a topic after an id.
    pub(super) fresh: String,
    /// A message that no group of its topic needs any more.
    pub(super) remove: String,
    pub(super) join: String,
    pub(super) group: String,
    pub(super) advance: String,
    /// Whether a group has something to claim, and when a message that others have may come again.
    pub(super) peek: String,
    pub(super) due: String,
    pub(super) claim: String,
    pub(super) claim_again: String,
    pub(super) attempts: String,
    pub(super) settle: String,
    pub(super) give_back: String,
    pub(super) release: String,
    pub(super) renew: String,
    /// The topics that have messages, each with the position of the group that is furthest behind.
    pub(super) topics: String,
    pub(super) sweep_expired: String,
    /// Messages that every group is beyond and none has: left over when a group was removed.
    pub(super) sweep_settled: String,
    pub(super) sweep_kept: String,
    /// What is left of groups and messages that were removed.
    pub(super) sweep_deliveries: String,
}

impl Tables {
    pub(super) fn new(prefix: &str) -> Self {
        let messages = format!("{prefix}messages");
        let groups = format!("{prefix}groups");
        let deliveries = format!("{prefix}deliveries");
        let columns = "id, expires_at, content_type, metadata, data";
        let insert = format!(
            "INSERT INTO {messages} (topic, published_at, expires_at, content_type, metadata, data)"
        );
        Self {
            publish: format!("{insert} VALUES (?1, ?2, ?3, ?4, ?5, ?6)"),
            copy: format!(
                "{insert} SELECT ?2, ?3, NULL, content_type, metadata, data FROM {messages} WHERE id = ?1"
            ),
            message: format!("SELECT {columns} FROM {messages} WHERE id = ?1"),
            fresh: format!(
                "SELECT {columns} FROM {messages} WHERE topic = ?1 AND id > ?2 ORDER BY id LIMIT ?3"
            ),
            remove: format!(
                "DELETE FROM {messages} WHERE id = ?1 \
                 AND NOT EXISTS (SELECT 1 FROM {deliveries} WHERE message_id = ?1) \
                 AND NOT EXISTS (SELECT 1 FROM {groups} WHERE topic = {messages}.topic AND position < ?1)"
            ),
            join: format!(
                "INSERT INTO {groups} (topic, name, position) VALUES (?1, ?2, 0) ON CONFLICT DO NOTHING"
            ),
            group: format!("SELECT id, position FROM {groups} WHERE topic = ?1 AND name = ?2"),
            advance: format!("UPDATE {groups} SET position = ?2 WHERE id = ?1"),
            peek: format!(
                "SELECT g.id IS NULL \
                   OR EXISTS (SELECT 1 FROM {deliveries} WHERE group_id = g.id AND visible_at <= ?3) \
                   OR EXISTS (SELECT 1 FROM {messages} WHERE topic = ?1 AND id > g.position), \
                 (SELECT min(visible_at) FROM {deliveries} WHERE group_id = g.id AND owner IS NOT ?4) \
                 FROM (SELECT 1) LEFT JOIN {groups} AS g ON g.topic = ?1 AND g.name = ?2"
            ),
            due: format!(
                "SELECT message_id, attempts FROM {deliveries} \
                 WHERE group_id = ?1 AND visible_at <= ?2 ORDER BY message_id LIMIT ?3"
            ),
            claim: format!(
                "INSERT INTO {deliveries} (group_id, message_id, attempts, visible_at, owner) \
                 VALUES (?1, ?2, 1, ?3, ?4)"
            ),
            claim_again: format!(
                "UPDATE {deliveries} SET attempts = attempts + 1, visible_at = ?3, owner = ?4 \
                 WHERE group_id = ?1 AND message_id = ?2"
            ),
            attempts: format!(
                "SELECT attempts FROM {deliveries} WHERE group_id = ?1 AND message_id = ?2 AND owner = ?3"
            ),
            settle: format!("DELETE FROM {deliveries} WHERE group_id = ?1 AND message_id = ?2"),
            give_back: format!(
                "UPDATE {deliveries} SET visible_at = ?4, owner = NULL \
                 WHERE group_id = ?1 AND message_id = ?2 AND owner = ?3"
            ),
            release: format!(
                "UPDATE {deliveries} SET attempts = attempts - 1, visible_at = ?2, owner = NULL WHERE owner = ?1"
            ),
            renew: format!("UPDATE {deliveries} SET visible_at = ?2 WHERE owner = ?1"),
            sweep_expired: format!("DELETE FROM {messages} WHERE expires_at <= ?1"),
            topics: format!(
                "WITH RECURSIVE found (topic) AS ( \
                   SELECT min(topic) FROM {messages} \
                   UNION ALL SELECT (SELECT min(topic) FROM {messages} WHERE topic > found.topic) \
                   FROM found WHERE found.topic IS NOT NULL) \
                 SELECT topic, (SELECT min(position) FROM {groups} WHERE {groups}.topic = found.topic) \
                 FROM found WHERE topic IS NOT NULL"
            ),
            sweep_settled: format!(
                "DELETE FROM {messages} WHERE topic = ?1 AND id <= ?2 \
                 AND NOT EXISTS (SELECT 1 FROM {deliveries} WHERE message_id = {messages}.id)"
            ),
            sweep_kept: format!("DELETE FROM {messages} WHERE topic = ?1 AND published_at <= ?2"),
            sweep_deliveries: format!(
                "DELETE FROM {deliveries} WHERE group_id NOT IN (SELECT id FROM {groups}) \
                 OR message_id NOT IN (SELECT id FROM {messages})"
            ),
            metadata: format!("{prefix}metadata"),
            messages,
            groups,
            deliveries,
        }
    }
}

impl Schema for Tables {
    fn tables(&self) -> Vec<&str> {
        vec![
            &self.messages,
            &self.groups,
            &self.deliveries,
            &self.metadata,
        ]
    }

    fn metadata_table(&self) -> &str {
        &self.metadata
    }

    /// Ids are never used twice, whatever was removed: a position would skip a message whose id is used again. The data
    /// comes last, so that the other columns are read without it.
    fn definition(&self) -> String {
        let Self {
            messages,
            groups,
            deliveries,
            metadata,
            ..
        } = self;
        format!(
            "CREATE TABLE IF NOT EXISTS {metadata} (
               key TEXT NOT NULL PRIMARY KEY,
               value TEXT NOT NULL
             );
             CREATE TABLE IF NOT EXISTS {messages} (
               id INTEGER PRIMARY KEY AUTOINCREMENT,
               topic TEXT NOT NULL,
               published_at INTEGER NOT NULL,
               expires_at INTEGER,
               content_type TEXT,
               metadata TEXT NOT NULL,
               data BLOB NOT NULL
             );
             CREATE INDEX IF NOT EXISTS {messages}_topic ON {messages} (topic, id);
             CREATE INDEX IF NOT EXISTS {messages}_expiry ON {messages} (expires_at) WHERE expires_at IS NOT NULL;
             CREATE TABLE IF NOT EXISTS {groups} (
               id INTEGER PRIMARY KEY AUTOINCREMENT,
               topic TEXT NOT NULL,
               name TEXT NOT NULL,
               position INTEGER NOT NULL,
               UNIQUE (topic, name)
             );
             CREATE TABLE IF NOT EXISTS {deliveries} (
               group_id INTEGER NOT NULL,
               message_id INTEGER NOT NULL,
               attempts INTEGER NOT NULL,
               visible_at INTEGER NOT NULL,
               owner TEXT,
               PRIMARY KEY (group_id, message_id)
             ) WITHOUT ROWID;
             CREATE INDEX IF NOT EXISTS {deliveries}_message ON {deliveries} (message_id);
             INSERT INTO {metadata} (key, value) VALUES ('migrations', '{LEVEL}')
               ON CONFLICT (key) DO UPDATE SET value = excluded.value
               WHERE CAST(value AS INTEGER) < {LEVEL};"
        )
    }

    fn add_functions(&self, _: &Connection) -> rusqlite::Result<()> {
        Ok(())
    }
}
