//! A lake of made-up sessions.

mod random;
mod sessions;
mod steps;

use sessionlake::clock::Clock;
use sessionlake::enrich::fold::fold;
use sessionlake::model::Workspace;
use sessionlake::sink::lake::seal::TRANSACTION;
use sessionlake::sink::lake::{Change, Lake, LakeOptions, NewFile, Table, TableKind};

use self::sessions::{DAYS, Maker};

/// How large it is.
pub struct Size {
    /// Over 30 days.
    pub sessions: u64,
    /// Of a session, about.
    pub events: u64,
    /// Sessions whose facts arrive between two commits.
    pub batch: u64,
    pub seed: u64,
}

/// The tables, and the files of the commits to come.
struct Writing {
    tables: [Table; 3],
    files: [Vec<NewFile>; 3],
}

impl Writing {
    async fn commit(&mut self) {
        let mut through = -1;
        for (table, add) in self.tables.iter_mut().zip(&mut self.files) {
            // With the sessions goes up to where the facts are sealed.
            let sealed = (table.kind() == TableKind::Sessions).then(|| (TRANSACTION.to_owned(), through));
            let change = Change { add: std::mem::take(add), transaction: sealed, ..Change::default() };
            let version = table.commit(change).await.unwrap();
            if table.kind() == TableKind::Facts {
                through = version;
            }
        }
    }
}

/// Writes the lake to a directory or s3://bucket/prefix without tables; the number of events.
pub async fn make(url: &str, options: &Size) -> usize {
    let lake = Lake::open(&LakeOptions { url: url.to_owned(), ..LakeOptions::default() }).await.unwrap();
    let lake = lake.with_clock(Clock::system());
    let (key, workspace) = (lake.key([9; 32]).await.unwrap(), Workspace::default());
    let open = async |kind| lake.table(&workspace, kind, &key).await.unwrap();
    let tables = [open(TableKind::Facts).await, open(TableKind::Events).await, open(TableKind::Sessions).await];
    let mut writing = Writing { tables, files: Default::default() };
    let today = (Clock::system().now() / 86_400_000_000) as u64;
    let mut maker = Maker::new(options.seed, options.events, today - DAYS);
    let (mut rows, mut done) = (0, 0);
    while done < options.sessions {
        let (mut facts, mut events, mut rows_of_sessions) = (Vec::new(), Vec::new(), Vec::new());
        let batch = options.batch.min(options.sessions - done);
        let day = done * DAYS / options.sessions;
        for _ in 0..batch {
            let (session, of_session) = maker.session(day);
            let folded = fold(&session, &of_session, true);
            facts.extend(of_session);
            events.extend(folded.events);
            rows_of_sessions.push(folded.session);
        }
        rows += events.len();
        done += batch;
        let [of_facts, of_events, of_sessions] = &mut writing.files;
        of_facts.extend(writing.tables[0].write_facts(&facts).await.unwrap());
        of_events.extend(writing.tables[1].write_events(&events).await.unwrap());
        of_sessions.extend(writing.tables[2].write_sessions(&rows_of_sessions).await.unwrap());
        // A commit names many files, so that a large lake is not mostly its log.
        if writing.files[0].len() >= 100 {
            writing.commit().await;
        }
    }
    writing.commit().await;
    rows
}
