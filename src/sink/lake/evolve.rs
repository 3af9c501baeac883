//! The schema of a table that another version of this program made.
//!
//! Columns are only ever added. A table that lacks some is given them by a `metaData` commit, and its files keep what they
//! have: readers fill the rest with NULL. A table that has columns beyond ours was written by a newer version. We do not
//! write to it: to put its files together would drop what we do not know.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::error::LakeError;
use super::layout::{delta_schema, logged_columns};
use super::log;
use super::table::{Table, TableKind};

/// What a table's schema has to do with ours.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fit {
    Same,
    /// It lacks columns that we have.
    Older,
    /// It has columns that we do not know.
    Newer(Vec<String>),
}

/// Compares the columns' names; `None`: there is no `metaData` to be read, as in the midst of a creation.
pub(super) fn fit(kind: TableKind, metadata: Option<&Value>) -> Option<Fit> {
    let schema: Value = serde_json::from_str(metadata?.get("schemaString")?.as_str()?).ok()?;
    let theirs: BTreeSet<&str> = schema.get("fields")?.as_array()?.iter().filter_map(|f| f["name"].as_str()).collect();
    let ours: BTreeSet<&str> = kind.columns().map(|column| column.name).collect();
    let unknown: Vec<String> = theirs.difference(&ours).map(|name| (*name).to_owned()).collect();
    Some(match (unknown.is_empty(), ours.is_subset(&theirs)) {
        (false, _) => Fit::Newer(unknown),
        (true, false) => Fit::Older,
        (true, true) => Fit::Same,
    })
}

/// The table's `metaData` with our columns.
fn extended(kind: TableKind, metadata: &Value) -> Value {
    let mut metadata = metadata.clone();
    metadata["schemaString"] = json!(delta_schema(kind).to_string());
    metadata["configuration"]["delta.dataSkippingStatsColumns"] = json!(logged_columns(kind));
    metadata
}

impl Table {
    /// Refuses a table that is newer than we are.
    pub(super) fn check_schema(&self) -> Result<(), LakeError> {
        match fit(self.place.kind, self.state.metadata.as_ref()) {
            Some(Fit::Newer(columns)) => {
                Err(LakeError::Newer { table: self.place.name.clone(), columns: columns.join(", ") })
            }
            _ => Ok(()),
        }
    }

    /// Adds the columns that the table lacks. Several processes may do so at once: the first does it for all.
    ///
    /// # Errors
    /// `Newer`: it has columns that we do not know.
    pub(super) async fn evolve(&mut self) -> Result<(), LakeError> {
        loop {
            self.check_schema()?;
            let kind = self.place.kind;
            let Some(metadata) = &self.state.metadata else { return Ok(()) };
            if fit(kind, Some(metadata)) != Some(Fit::Older) {
                return Ok(());
            }
            let entry = log::evolution(&extended(kind, metadata), self.clock.now() / 1000);
            self.place.store.create(&self.place.entry(self.version() + 1), entry).await?;
            self.refresh().await?;
            tracing::info!(table = self.place.name, "columns added that this version knows and the table lacked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::lake::samples;
    use crate::sink::lake::testing::TestLake;
    use crate::sink::lake::{Change, TableKind};

    /// The table as a version that did not know `column` made it, or one that knows `more`.
    async fn altered(lake: &TestLake, without: Option<&str>, more: Option<&str>) {
        let table = lake.table(TableKind::Facts).await;
        let mut metadata = table.state.metadata.clone().unwrap();
        let mut schema: Value = serde_json::from_str(metadata["schemaString"].as_str().unwrap()).unwrap();
        let fields = schema["fields"].as_array_mut().unwrap();
        fields.retain(|field| Some(field["name"].as_str().unwrap()) != without);
        fields.extend(more.map(|name| json!({"name": name, "type": "string", "nullable": true, "metadata": {}})));
        metadata["schemaString"] = json!(schema.to_string());
        let entry = log::evolution(&metadata, 0);
        assert!(table.place.store.create(&table.place.entry(table.version() + 1), entry).await.unwrap());
    }

    #[tokio::test]
    async fn an_older_table_is_given_the_columns_it_lacks_once() {
        let lake = TestLake::new().await;
        lake.append(&[samples::fact("s1", 1)]).await;
        altered(&lake, Some("ttft_ms"), None).await;
        let table = lake.table(TableKind::Facts).await;
        let version = table.version();
        assert_eq!(fit(TableKind::Facts, table.state.metadata.as_ref()), Some(Fit::Same));
        assert_eq!(lake.table(TableKind::Facts).await.version(), version);
        table.checkpoint().await.unwrap();
        assert_eq!(lake.table(TableKind::Facts).await.version(), version, "the checkpoint says the same");
        lake.append(&[samples::fact("s1", 2)]).await;
        assert_eq!(lake.facts().await.len(), 2);
    }

    #[tokio::test]
    async fn a_newer_table_is_not_written_to_and_the_reason_is_said() {
        let lake = TestLake::new().await;
        let mut open = lake.table(TableKind::Facts).await;
        altered(&lake, None, Some("mood")).await;
        let error = lake.lake.table(&lake.workspace, TableKind::Facts, &lake.key).await.err().unwrap();
        assert!(error.to_string().contains("mood") && error.to_string().contains("newer version"), "{error}");
        let add = open.write_facts(&[samples::fact("s1", 1)]).await.unwrap();
        let error = open.commit(Change { add, ..Change::default() }).await.unwrap_err();
        assert!(matches!(error, LakeError::Newer { .. }), "also one that was open: {error}");
        assert!(lake.lake.existing(&lake.workspace, TableKind::Facts).await.unwrap().is_some(), "reading goes on");
    }
}
