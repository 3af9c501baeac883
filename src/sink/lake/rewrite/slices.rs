//! A rewriting of many files, some at a time: sealing waits meanwhile.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use super::{Judge, Rewritten, Selection, rewrite};
use crate::sink::lake::lease::Fence;
use crate::sink::lake::row::Row;
use crate::sink::lake::{LakeError, Table, TableFile};

/// Bytes of a table's files that are looked at together.
const SLICE_BYTES: u64 = 16 << 20;

/// Paths remembered at most, about 10 MiB: beyond that, files are read again.
const MOST_CHECKED: usize = 100_000;

/// Files that were shown to a judge: they are not read again. Lost without harm.
#[derive(Debug, Default)]
pub struct Checked(HashSet<String>);

/// Shows the rows of some files of these days to `judge`, files that were not shown yet; says whether there are more.
///
/// # Errors
/// As [`rewrite()`].
pub async fn slice<R: Row + 'static>(
    table: &mut Table,
    fence: Fence,
    days: &RangeInclusive<i32>,
    judge: &Judge<R>,
    checked: &mut Checked,
) -> Result<(Rewritten, bool), LakeError> {
    table.refresh().await?;
    let name = |path: &str| format!("{}/{path}", R::KIND.name());
    let all = Selection { dates: days.clone(), ..Selection::ALL };
    let files = all.of(table);
    let before: HashSet<String> = files.iter().map(|file| file.path.clone()).collect();
    let unchecked: Vec<&TableFile> = files.iter().filter(|file| !checked.0.contains(&name(&file.path))).collect();
    let mut bytes = 0;
    let fits = |file: &&&TableFile| {
        let before = bytes;
        bytes += file.size;
        before < SLICE_BYTES
    };
    let slice: HashSet<String> = unchecked.iter().take_while(fits).map(|file| file.path.clone()).collect();
    if slice.is_empty() {
        return Ok((Rewritten::default(), false));
    }
    let more = slice.len() < unchecked.len();
    let done = rewrite(table, fence, &Selection { paths: Some(&slice), ..Selection::ALL }, judge).await?;
    if checked.0.len() > MOST_CHECKED {
        checked.0.clear();
    }
    let now = all.of(table);
    let shown = now.iter().filter(|file| slice.contains(&file.path) || !before.contains(&file.path));
    checked.0.extend(shown.map(|file| name(&file.path)));
    Ok((done, more))
}
