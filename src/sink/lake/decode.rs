//! Arrow to rows: rows are made with nothing in them, then filled a column at a time.

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, ListArray, PrimitiveArray, RecordBatch, StringArray,
    StructArray, new_null_array,
};
use arrow::datatypes::{Decimal128Type, Field, FieldRef, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};

use super::error::LakeError;
use super::layout::file_schema;
use super::reader::Seen;
use super::table::TableKind;
use crate::model::{
    AuditEntry, Columns, Event, Fact, FactId, Gap, Joined, Kind, Prompt, Redaction, Session, SkillUse, Source, Status,
    Truncation,
};

type Result<T> = std::result::Result<T, LakeError>;

/// A batch that conforms to a table's schema, and where it is from (for errors).
pub(super) struct Batch<'a> {
    file: &'a str,
    batch: RecordBatch,
}

impl<'a> Batch<'a> {
    /// Casts columns that another writer stored otherwise (dictionaries, other time units, other names of list
    /// items). A nullable column may be missing: the file is older than the column.
    pub fn new(file: &'a str, kind: TableKind, batch: &RecordBatch) -> Result<Batch<'a>> {
        Batch::of(file, file_schema(kind).fields().iter(), batch)
    }

    /// As `new`, for a batch of some columns.
    fn of<'f>(file: &'a str, schema: impl Iterator<Item = &'f FieldRef>, batch: &RecordBatch) -> Result<Batch<'a>> {
        let (mut fields, mut columns) = (Vec::new(), Vec::new());
        for field in schema {
            let Some(column) = column(file, field, batch)? else { continue };
            columns.push(column);
            fields.push(field.clone().as_ref().clone().with_nullable(true));
        }
        let schema = std::sync::Arc::new(arrow::datatypes::Schema::new(fields));
        Ok(Batch { file, batch: RecordBatch::try_new(schema, columns)? })
    }

    fn wrong(&self, name: &str) -> LakeError {
        wrong(self.file, name)
    }

    /// A column as the array it must be; `None` when the file does not have it.
    fn array<'b, A: 'b>(&'b self, name: &str, cast: impl Fn(&'b ArrayRef) -> Option<&'b A>) -> Result<Option<&'b A>> {
        let column = self.batch.column_by_name(name);
        column.map(|column| cast(column).ok_or_else(|| self.wrong(name))).transpose()
    }

    fn text<R>(&self, name: &str, rows: &mut [R], set: impl Fn(&mut R, &str)) -> Result<()> {
        self.parsed(name, rows, |row, text| {
            set(row, text);
            Some(())
        })
    }

    /// Text that must parse: `set` says whether it did.
    fn parsed<R>(&self, name: &str, rows: &mut [R], set: impl Fn(&mut R, &str) -> Option<()>) -> Result<()> {
        let Some(array) = self.array(name, |column| column.as_string_opt::<i32>())? else { return Ok(()) };
        for (row, text) in rows.iter_mut().zip(array) {
            text.map_or(Some(()), |text| set(row, text)).ok_or_else(|| self.wrong(name))?;
        }
        Ok(())
    }

    fn number<T: ArrowPrimitiveType, R>(
        &self,
        name: &str,
        rows: &mut [R],
        set: impl Fn(&mut R, T::Native),
    ) -> Result<()> {
        let Some(array) = self.array(name, |column| column.as_primitive_opt::<T>())? else { return Ok(()) };
        for (row, value) in rows.iter_mut().zip(array) {
            if let Some(value) = value {
                set(row, value);
            }
        }
        Ok(())
    }

    fn int<R>(&self, name: &str, rows: &mut [R], set: impl Fn(&mut R, i64)) -> Result<()> {
        self.number::<Int64Type, R>(name, rows, set)
    }

    fn real<R>(&self, name: &str, rows: &mut [R], set: impl Fn(&mut R, f64)) -> Result<()> {
        self.number::<Float64Type, R>(name, rows, set)
    }

    fn time<R>(&self, name: &str, rows: &mut [R], set: impl Fn(&mut R, i64)) -> Result<()> {
        self.number::<TimestampMicrosecondType, R>(name, rows, set)
    }

    fn usd<R>(&self, name: &str, rows: &mut [R], set: impl Fn(&mut R, i64)) -> Result<()> {
        // 18 digits fit 64 bits; what does not was not written as DECIMAL(18,9).
        self.number::<Decimal128Type, R>(name, rows, |row, value| {
            if let Ok(value) = i64::try_from(value) {
                set(row, value);
            }
        })
    }

    fn flag<R>(&self, name: &str, rows: &mut [R], set: impl Fn(&mut R, bool)) -> Result<()> {
        let Some(array) = self.array::<BooleanArray>(name, |column| column.as_boolean_opt())? else { return Ok(()) };
        for (row, value) in rows.iter_mut().zip(array) {
            if let Some(value) = value {
                set(row, value);
            }
        }
        Ok(())
    }

    /// Calls `add` for each row with the positions of its items.
    fn list<R>(&self, name: &str, rows: &mut [R], add: impl Fn(&Items<'_>, &mut R, usize) -> Option<()>) -> Result<()> {
        let Some(list) = self.array::<ListArray>(name, |column| column.as_list_opt::<i32>())? else { return Ok(()) };
        let items = Items::of(list.values());
        for (at, row) in rows.iter_mut().enumerate() {
            if list.is_valid(at) {
                let (start, end) = (list.value_offsets()[at] as usize, list.value_offsets()[at + 1] as usize);
                (start..end).try_for_each(|item| add(&items, row, item)).ok_or_else(|| self.wrong(name))?;
            }
        }
        Ok(())
    }

    fn texts<R>(&self, name: &str, rows: &mut [R], add: impl Fn(&mut R, &str) -> Option<()>) -> Result<()> {
        self.list(name, rows, |items, row, at| add(row, items.texts?.value(at)))
    }

    fn strings<R>(&self, name: &str, rows: &mut [R], of: impl Fn(&mut R) -> &mut Vec<String>) -> Result<()> {
        self.texts(name, rows, |row, text| {
            of(row).push(text.to_owned());
            Some(())
        })
    }

    fn redactions<R>(&self, rows: &mut [R], of: impl Fn(&mut R) -> &mut Vec<Redaction>) -> Result<()> {
        self.list("redactions", rows, |items, row, at| {
            of(row).push(Redaction { rule: items.text(0, at)?, count: items.int(1, at)? });
            Some(())
        })
    }
}

/// A column as the schema has it; `None`: the file is older than the column.
fn column(file: &str, field: &Field, batch: &RecordBatch) -> Result<Option<ArrayRef>> {
    match batch.column_by_name(field.name()) {
        Some(column) if column.data_type() == field.data_type() => Ok(Some(column.clone())),
        Some(column) => Ok(Some(arrow::compute::cast(column, field.data_type())?)),
        None if field.is_nullable() => Ok(None),
        None => Err(wrong(file, field.name())),
    }
}

/// A batch of any age in the table's present schema.
pub(super) fn conform(file: &str, kind: TableKind, batch: &RecordBatch) -> Result<RecordBatch> {
    let schema = file_schema(kind);
    let null = |field: &Field| new_null_array(field.data_type(), batch.num_rows());
    let columns = schema.fields().iter().map(|field| Ok(column(file, field, batch)?.unwrap_or_else(|| null(field))));
    let columns = columns.collect::<Result<Vec<_>>>()?;
    Ok(RecordBatch::try_new(schema, columns)?)
}

fn wrong(file: &str, column: &str) -> LakeError {
    LakeError::Column { file: file.to_owned(), column: column.to_owned() }
}

/// The items of a list column: texts, or structs by the position of their members.
struct Items<'a> {
    texts: Option<&'a StringArray>,
    members: Option<&'a StructArray>,
}

impl<'a> Items<'a> {
    fn of(values: &'a ArrayRef) -> Items<'a> {
        Items { texts: values.as_string_opt::<i32>(), members: values.as_struct_opt() }
    }

    fn text(&self, member: usize, at: usize) -> Option<String> {
        let array = self.members?.columns().get(member)?.as_string_opt::<i32>()?;
        array.is_valid(at).then(|| array.value(at).to_owned())
    }

    fn number<T: ArrowPrimitiveType>(&self, member: usize, at: usize) -> Option<T::Native> {
        let array: &PrimitiveArray<T> = self.members?.columns().get(member)?.as_primitive_opt()?;
        array.is_valid(at).then(|| array.value(at))
    }

    fn int(&self, member: usize, at: usize) -> Option<i64> {
        self.number::<Int64Type>(member, at)
    }

    fn time(&self, member: usize, at: usize) -> Option<i64> {
        self.number::<TimestampMicrosecondType>(member, at)
    }
}

/// The optional scalar columns of a row type: `kind: name name ...;`.
macro_rules! scalars {
    ($batch:expr, $rows:expr, $of:expr; text: $($text:ident)*; int: $($int:ident)*; usd: $($usd:ident)*; real: $($real:ident)*; flag: $($flag:ident)*; time: $($time:ident)*;) => {
        $($batch.text(stringify!($text), $rows, |row, v| $of(row).$text = Some(v.to_owned()))?;)*
        $($batch.int(stringify!($int), $rows, |row, v| $of(row).$int = Some(v))?;)*
        $($batch.usd(stringify!($usd), $rows, |row, v| $of(row).$usd = Some(v))?;)*
        $($batch.real(stringify!($real), $rows, |row, v| $of(row).$real = Some(v))?;)*
        $($batch.flag(stringify!($flag), $rows, |row, v| $of(row).$flag = Some(v))?;)*
        $($batch.time(stringify!($time), $rows, |row, v| $of(row).$time = Some(v))?;)*
    };
}

fn shared<R>(batch: &Batch<'_>, rows: &mut [R], of: fn(&mut R) -> &mut Columns) -> Result<()> {
    scalars!(batch, rows, of;
        text: prompt_id request_id message_id tool_use_id agent_id trace_id span_id user_email user_id user_account_id
            organization_id principal agent agent_version project git_branch permission_mode content thinking tool_name
            tool_input tool_output mcp_server mcp_tool skill decision error model cost_source metric_unit temporality
            attributes resource;
        int: input_tokens output_tokens cache_read_tokens cache_creation_tokens duration_ms ttft_ms;
        usd: cost_usd;
        real: metric_value;
        flag: success;
        time: start_time;
    );
    batch.redactions(rows, |row| &mut of(row).redactions)?;
    batch.list("truncated", rows, |items, row, at| {
        let truncation = Truncation { column: items.text(0, at)?, original_bytes: items.int(1, at) };
        of(row).truncated.push(truncation);
        Some(())
    })
}

/// The rows of a batch of a `facts` file.
pub(super) fn facts(batch: &Batch<'_>) -> Result<Vec<Fact>> {
    let mut rows = vec![empty_fact(); batch.batch.num_rows()];
    shared(batch, &mut rows, |fact| &mut fact.columns)?;
    batch.parsed("fact_id", &mut rows, |fact, v| FactId::parse(v).map(|id| fact.fact_id = id))?;
    batch.text("session_id", &mut rows, |fact, v| fact.session_id = Some(v.to_owned()))?;
    batch.parsed("source", &mut rows, |fact, v| Source::parse(v).map(|source| fact.source = source))?;
    batch.parsed("kind", &mut rows, |fact, v| Kind::parse(v).map(|kind| fact.kind = kind))?;
    batch.text("name", &mut rows, |fact, v| fact.name = v.to_owned())?;
    batch.int("sequence", &mut rows, |fact, v| fact.sequence = Some(v))?;
    batch.time("time", &mut rows, |fact, v| fact.time = v)?;
    batch.time("end_time", &mut rows, |fact, v| fact.end_time = Some(v))?;
    batch.time("received_at", &mut rows, |fact, v| fact.received_at = v)?;
    batch.text("writer", &mut rows, |fact, v| fact.writer = v.to_owned())?;
    batch.text("policy", &mut rows, |fact, v| fact.policy = v.to_owned())?;
    Ok(rows)
}

/// The columns of [`Seen`].
pub(super) const SEEN: [&str; 3] = ["session_id", "kind", "received_at"];

/// The rows of a batch of a `facts` file that has the columns [`SEEN`].
pub(super) fn seen(file: &str, batch: &RecordBatch) -> Result<Vec<Seen>> {
    let schema = file_schema(TableKind::Facts);
    let batch = Batch::of(file, schema.fields().iter().filter(|field| SEEN.contains(&field.name().as_str())), batch)?;
    let empty = Seen { session_id: None, kind: Kind::Other, received_at: 0 };
    let mut rows = vec![empty; batch.batch.num_rows()];
    batch.text("session_id", &mut rows, |seen, v| seen.session_id = Some(v.to_owned()))?;
    batch.parsed("kind", &mut rows, |seen, v| Kind::parse(v).map(|kind| seen.kind = kind))?;
    batch.time("received_at", &mut rows, |seen, v| seen.received_at = v)?;
    Ok(rows)
}

/// The rows of a batch of an `events` file of a day.
pub(super) fn events(batch: &Batch<'_>, date: i32) -> Result<Vec<Event>> {
    let mut rows = vec![empty_event(date); batch.batch.num_rows()];
    shared(batch, &mut rows, |event| &mut event.columns)?;
    batch.text("session_id", &mut rows, |event, v| event.session_id = v.to_owned())?;
    batch.text("event_id", &mut rows, |event, v| event.event_id = v.to_owned())?;
    batch.int("seq", &mut rows, |event, v| event.seq = v)?;
    batch.parsed("kind", &mut rows, |event, v| Kind::parse(v).map(|kind| event.kind = kind))?;
    batch.time("time", &mut rows, |event, v| event.time = v)?;
    batch.time("end_time", &mut rows, |event, v| event.end_time = Some(v))?;
    batch.time("received_at", &mut rows, |event, v| event.received_at = v)?;
    batch.texts("sources", &mut rows, |event, v| Source::parse(v).map(|source| event.sources.push(source)))?;
    batch.texts("fact_ids", &mut rows, |event, v| FactId::parse(v).map(|id| event.fact_ids.push(id)))?;
    batch.parsed("joined", &mut rows, |event, v| Joined::parse(v).map(|joined| event.joined = joined))?;
    batch.text("parent_event_id", &mut rows, |event, v| event.parent_event_id = Some(v.to_owned()))?;
    batch.flag("synthetic", &mut rows, |event, v| event.synthetic = v)?;
    batch.flag("inherited", &mut rows, |event, v| event.inherited = v)?;
    Ok(rows)
}

/// The rows of a batch of a `sessions` file of a day.
pub(super) fn sessions(batch: &Batch<'_>, date: i32) -> Result<Vec<Session>> {
    let mut rows = vec![Session::empty(date); batch.batch.num_rows()];
    scalars!(batch, &mut rows, std::convert::identity::<&mut Session>;
        text: user_email user_id user_account_id organization_id principal agent agent_version project git_branch
            end_reason parent_session_id parent_relation;
        int: input_tokens output_tokens cache_read_tokens cache_creation_tokens;
        usd: cost_usd;
        real: ;
        flag: ;
        time: ;
    );
    session_counts(batch, &mut rows)?;
    session_lists(batch, &mut rows)?;
    batch.text("session_id", &mut rows, |session, v| session.session_id = v.to_owned())?;
    batch.time("start_time", &mut rows, |session, v| session.start_time = v)?;
    batch.time("end_time", &mut rows, |session, v| session.end_time = v)?;
    batch.time("received_at", &mut rows, |session, v| session.received_at = v)?;
    batch.parsed("status", &mut rows, |session, v| Status::parse(v).map(|status| session.status = status))?;
    batch.number::<Int32Type, _>("fold_version", &mut rows, |session, v| session.fold_version = v)?;
    Ok(rows)
}

pub(super) fn audit(batch: &Batch<'_>) -> Result<Vec<AuditEntry>> {
    let mut rows = vec![AuditEntry::default(); batch.batch.num_rows()];
    batch.text("request_id", &mut rows, |entry, v| entry.request_id = v.to_owned())?;
    batch.text("action", &mut rows, |entry, v| entry.action = v.to_owned())?;
    batch.text("who", &mut rows, |entry, v| entry.who = Some(v.to_owned()))?;
    batch.text("how", &mut rows, |entry, v| entry.how = v.to_owned())?;
    batch.text("reason", &mut rows, |entry, v| entry.reason = Some(v.to_owned()))?;
    batch.text("outcome", &mut rows, |entry, v| entry.outcome = v.to_owned())?;
    batch.time("time", &mut rows, |entry, v| entry.time = v)?;
    batch.time("requested_at", &mut rows, |entry, v| entry.requested_at = v)?;
    batch.int("session_count", &mut rows, |entry, v| entry.session_count = v)?;
    batch.int("fact_rows", &mut rows, |entry, v| entry.fact_rows = v)?;
    batch.int("event_rows", &mut rows, |entry, v| entry.event_rows = v)?;
    batch.int("session_rows", &mut rows, |entry, v| entry.session_rows = v)?;
    batch.int("journal_records", &mut rows, |entry, v| entry.journal_records = v)?;
    batch.int("objects_before", &mut rows, |entry, v| entry.objects_before = v)?;
    batch.int("objects_after", &mut rows, |entry, v| entry.objects_after = v)?;
    batch.int("bytes_before", &mut rows, |entry, v| entry.bytes_before = v)?;
    batch.int("bytes_after", &mut rows, |entry, v| entry.bytes_after = v)?;
    batch.strings("names", &mut rows, |entry| &mut entry.names)?;
    batch.strings("silent_writers", &mut rows, |entry| &mut entry.silent_writers)?;
    batch.strings("remaining", &mut rows, |entry| &mut entry.remaining)?;
    batch.text("statement", &mut rows, |entry, v| entry.statement = Some(v.to_owned()))?;
    batch.int("result_rows", &mut rows, |entry, v| entry.result_rows = Some(v))?;
    Ok(rows)
}

fn session_counts(batch: &Batch<'_>, rows: &mut [Session]) -> Result<()> {
    batch.int("events", rows, |session, v| session.events = v)?;
    batch.int("prompt_count", rows, |session, v| session.prompt_count = v)?;
    batch.int("synthetic_prompt_count", rows, |session, v| session.synthetic_prompt_count = v)?;
    batch.int("model_calls", rows, |session, v| session.model_calls = v)?;
    batch.int("tool_calls", rows, |session, v| session.tool_calls = v)?;
    batch.int("errors", rows, |session, v| session.errors = v)?;
    batch.int("denials", rows, |session, v| session.denials = v)
}

fn session_lists(batch: &Batch<'_>, rows: &mut [Session]) -> Result<()> {
    batch.strings("models", rows, |session| &mut session.models)?;
    batch.strings("tools", rows, |session| &mut session.tools)?;
    batch.strings("mcp_servers", rows, |session| &mut session.mcp_servers)?;
    batch.texts("sources", rows, |session, v| Source::parse(v).map(|source| session.sources.push(source)))?;
    batch.redactions(rows, |session| &mut session.redactions)?;
    batch.list("skills", rows, |items, session, at| {
        session.skills.push(SkillUse { name: items.text(0, at)?, version_hash: items.text(1, at) });
        Some(())
    })?;
    batch.list("prompts", rows, |items, session, at| {
        session.prompts.push(Prompt { time: items.time(0, at)?, text: items.text(1, at)? });
        Some(())
    })?;
    batch.list("gaps", rows, |items, session, at| {
        session.gaps.push(Gap { kind: items.text(0, at)?, detail: items.text(1, at)? });
        Some(())
    })
}

fn empty_fact() -> Fact {
    Fact {
        fact_id: FactId::default(),
        session_id: None,
        source: Source::Hook,
        kind: Kind::Other,
        name: String::new(),
        sequence: None,
        time: 0,
        end_time: None,
        received_at: 0,
        writer: String::new(),
        policy: String::new(),
        columns: Columns::default(),
    }
}

fn empty_event(date: i32) -> Event {
    Event {
        session_id: String::new(),
        event_id: String::new(),
        seq: 0,
        kind: Kind::Other,
        date,
        time: 0,
        end_time: None,
        received_at: 0,
        sources: Vec::new(),
        fact_ids: Vec::new(),
        joined: Joined::OneSided,
        parent_event_id: None,
        synthetic: false,
        inherited: false,
        columns: Columns::default(),
    }
}
