//! Rows to Arrow, a column at a time.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, Float64Array, Int32Array, Int64Array, ListArray, RecordBatch,
    StringBuilder, StructArray, TimestampMicrosecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

use super::layout::{element, file_schema};
use super::schema::Type;
use super::table::TableKind;
use crate::model::{AuditEntry, Columns, Event, Fact, Gap, Prompt, Redaction, Session, SkillUse, Source, Truncation};

/// A column with its name.
type Named = (&'static str, ArrayRef);
type Result<T> = std::result::Result<T, ArrowError>;

/// The largest value of `DECIMAL(18,9)` in nano-dollars. Readers reject files with more digits than declared, so a
/// cost beyond a billion dollars is held there.
const MAX_USD: i64 = 999_999_999_999_999_999;

fn text<'a, R, T: AsRef<str>>(rows: &[&'a R], get: impl Fn(&'a R) -> Option<T>) -> ArrayRef {
    let texts: Vec<Option<T>> = rows.iter().map(|row| get(row)).collect();
    let bytes = texts.iter().flatten().map(|text| text.as_ref().len()).sum();
    // As large as it gets: what grows is copied again and again, and ends up half empty.
    let mut column = StringBuilder::with_capacity(rows.len(), bytes);
    texts.iter().for_each(|text| column.append_option(text.as_ref()));
    Arc::new(column.finish())
}

fn int<R>(rows: &[&R], get: impl Fn(&R) -> Option<i64>) -> ArrayRef {
    Arc::new(rows.iter().map(|row| get(row)).collect::<Int64Array>())
}

fn int32<R>(rows: &[&R], get: impl Fn(&R) -> i32) -> ArrayRef {
    Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| get(row))))
}

fn real<R>(rows: &[&R], get: impl Fn(&R) -> Option<f64>) -> ArrayRef {
    Arc::new(rows.iter().map(|row| get(row)).collect::<Float64Array>())
}

fn flag<R>(rows: &[&R], get: impl Fn(&R) -> Option<bool>) -> ArrayRef {
    Arc::new(rows.iter().map(|row| get(row)).collect::<BooleanArray>())
}

fn time<R>(rows: &[&R], get: impl Fn(&R) -> Option<i64>) -> ArrayRef {
    Arc::new(rows.iter().map(|row| get(row)).collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
}

fn usd<R>(rows: &[&R], get: impl Fn(&R) -> Option<i64>) -> ArrayRef {
    let nanos = rows.iter().map(|row| get(row).map(|v| i128::from(v.clamp(-MAX_USD, MAX_USD))));
    Arc::new(nanos.collect::<Decimal128Array>().with_data_type(DataType::Decimal128(18, 9)))
}

/// A list column: `items` makes one array of all rows' items put one after the other.
fn list<'a, R, I: 'a>(
    rows: &[&'a R],
    get: impl Fn(&'a R) -> &'a [I],
    items: impl FnOnce(&[&'a I]) -> Result<ArrayRef>,
) -> Result<ArrayRef> {
    let offsets = OffsetBuffer::from_lengths(rows.iter().map(|row| get(row).len()));
    let flat: Vec<&I> = rows.iter().flat_map(|row| get(row)).collect();
    let values = items(&flat)?;
    Ok(Arc::new(ListArray::try_new(element(values.data_type().clone()), offsets, values, None)?))
}

fn structs(ty: Type, members: Vec<ArrayRef>) -> Result<ArrayRef> {
    Ok(Arc::new(StructArray::try_new(ty.fields(), members, None)?))
}

fn strings<'a, R>(rows: &[&'a R], get: impl Fn(&'a R) -> &'a [String]) -> Result<ArrayRef> {
    list(rows, get, |items| Ok(text(items, |item: &String| Some(item.as_str()))))
}

fn sources<'a, R>(rows: &[&'a R], get: impl Fn(&'a R) -> &'a [Source]) -> Result<ArrayRef> {
    list(rows, get, |items| Ok(text(items, |item: &Source| Some(item.as_str()))))
}

fn redactions<'a, R>(rows: &[&'a R], get: impl Fn(&'a R) -> &'a [Redaction]) -> Result<ArrayRef> {
    list(rows, get, |items| {
        structs(
            Type::Redactions,
            vec![text(items, |r: &Redaction| Some(r.rule.as_str())), int(items, |r| Some(r.count))],
        )
    })
}

fn truncated<'a, R>(rows: &[&'a R], get: impl Fn(&'a R) -> &'a [Truncation]) -> Result<ArrayRef> {
    list(rows, get, |items| {
        structs(
            Type::Truncations,
            vec![text(items, |t: &Truncation| Some(t.column.as_str())), int(items, |t| t.original_bytes)],
        )
    })
}

fn prompts<'a, R>(rows: &[&'a R], get: impl Fn(&'a R) -> &'a [Prompt]) -> Result<ArrayRef> {
    list(rows, get, |items| {
        structs(Type::Prompts, vec![time(items, |p| Some(p.time)), text(items, |p: &Prompt| Some(p.text.as_str()))])
    })
}

fn gaps<'a, R>(rows: &[&'a R], get: impl Fn(&'a R) -> &'a [Gap]) -> Result<ArrayRef> {
    list(rows, get, |items| {
        structs(
            Type::Gaps,
            vec![text(items, |g: &Gap| Some(g.kind.as_str())), text(items, |g: &Gap| Some(g.detail.as_str()))],
        )
    })
}

fn skills<'a, R>(rows: &[&'a R], get: impl Fn(&'a R) -> &'a [SkillUse]) -> Result<ArrayRef> {
    list(rows, get, |items| {
        structs(
            Type::Skills,
            vec![
                text(items, |s: &SkillUse| Some(s.name.as_str())),
                text(items, |s: &SkillUse| s.version_hash.as_deref()),
            ],
        )
    })
}

/// Puts columns into the schema's order. A column that the schema has and `columns` lacks is an error.
fn assemble(kind: TableKind, mut columns: Vec<Named>) -> Result<RecordBatch> {
    let schema = file_schema(kind);
    let mut ordered = Vec::with_capacity(columns.len());
    for field in schema.fields() {
        let at = columns.iter().position(|(name, _)| name == field.name());
        let at = at.ok_or_else(|| ArrowError::SchemaError(format!("column {} was not encoded", field.name())))?;
        ordered.push(columns.swap_remove(at).1);
    }
    RecordBatch::try_new(schema, ordered)
}

/// The optional scalar columns of a row type: `kind: name name ...;`.
macro_rules! scalars {
    ($rows:expr, $of:expr; text: $($text:ident)*; int: $($int:ident)*; usd: $($usd:ident)*; real: $($real:ident)*; flag: $($flag:ident)*; time: $($time:ident)*;) => {
        vec![
            $((stringify!($text), text($rows, |row| $of(row).$text.as_deref())),)*
            $((stringify!($int), int($rows, |row| $of(row).$int)),)*
            $((stringify!($usd), usd($rows, |row| $of(row).$usd)),)*
            $((stringify!($real), real($rows, |row| $of(row).$real)),)*
            $((stringify!($flag), flag($rows, |row| $of(row).$flag)),)*
            $((stringify!($time), time($rows, |row| $of(row).$time)),)*
        ]
    };
}

fn shared<R>(rows: &[&R], of: fn(&R) -> &Columns) -> Result<Vec<Named>> {
    let mut columns: Vec<Named> = scalars!(rows, of;
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
    columns.push(("redactions", redactions(rows, |row| &of(row).redactions)?));
    columns.push(("truncated", truncated(rows, |row| &of(row).truncated)?));
    Ok(columns)
}

/// Facts as a batch of the `facts` files' schema.
pub(super) fn facts(rows: &[&Fact]) -> Result<RecordBatch> {
    let mut columns = shared(rows, |fact: &Fact| &fact.columns)?;
    columns.extend([
        ("fact_id", text(rows, |fact| Some(fact.fact_id.to_string()))),
        ("session_id", text(rows, |fact| fact.session_id.as_deref())),
        ("source", text(rows, |fact| Some(fact.source.as_str()))),
        ("kind", text(rows, |fact| Some(fact.kind.as_str()))),
        ("name", text(rows, |fact| Some(fact.name.as_str()))),
        ("sequence", int(rows, |fact| fact.sequence)),
        ("time", time(rows, |fact| Some(fact.time))),
        ("end_time", time(rows, |fact| fact.end_time)),
        ("received_at", time(rows, |fact| Some(fact.received_at))),
        ("writer", text(rows, |fact| Some(fact.writer.as_str()))),
        ("policy", text(rows, |fact| Some(fact.policy.as_str()))),
    ]);
    assemble(TableKind::Facts, columns)
}

/// Events as a batch of the `events` files' schema.
pub(super) fn events(rows: &[&Event]) -> Result<RecordBatch> {
    let mut columns = shared(rows, |event: &Event| &event.columns)?;
    let fact_ids = list(rows, |event| &event.fact_ids, |ids| Ok(text(ids, |id| Some(id.to_string()))))?;
    columns.extend([
        ("session_id", text(rows, |event| Some(event.session_id.as_str()))),
        ("event_id", text(rows, |event| Some(event.event_id.as_str()))),
        ("seq", int(rows, |event| Some(event.seq))),
        ("kind", text(rows, |event| Some(event.kind.as_str()))),
        ("time", time(rows, |event| Some(event.time))),
        ("end_time", time(rows, |event| event.end_time)),
        ("received_at", time(rows, |event| Some(event.received_at))),
        ("sources", sources(rows, |event| &event.sources)?),
        ("fact_ids", fact_ids),
        ("joined", text(rows, |event| Some(event.joined.as_str()))),
        ("parent_event_id", text(rows, |event| event.parent_event_id.as_deref())),
        ("synthetic", flag(rows, |event| Some(event.synthetic))),
        ("inherited", flag(rows, |event| Some(event.inherited))),
    ]);
    assemble(TableKind::Events, columns)
}

/// Sessions as a batch of the `sessions` files' schema.
pub(super) fn sessions(rows: &[&Session]) -> Result<RecordBatch> {
    let mut columns: Vec<Named> = scalars!(rows, std::convert::identity;
        text: user_email user_id user_account_id organization_id principal agent agent_version project git_branch
            end_reason parent_session_id parent_relation;
        int: input_tokens output_tokens cache_read_tokens cache_creation_tokens;
        usd: cost_usd;
        real: ;
        flag: ;
        time: ;
    );
    columns.extend([
        ("session_id", text(rows, |s| Some(s.session_id.as_str()))),
        ("start_time", time(rows, |s| Some(s.start_time))),
        ("end_time", time(rows, |s| Some(s.end_time))),
        ("received_at", time(rows, |s| Some(s.received_at))),
        ("status", text(rows, |s| Some(s.status.as_str()))),
        ("events", int(rows, |s| Some(s.events))),
        ("prompt_count", int(rows, |s| Some(s.prompt_count))),
        ("synthetic_prompt_count", int(rows, |s| Some(s.synthetic_prompt_count))),
        ("model_calls", int(rows, |s| Some(s.model_calls))),
        ("tool_calls", int(rows, |s| Some(s.tool_calls))),
        ("errors", int(rows, |s| Some(s.errors))),
        ("denials", int(rows, |s| Some(s.denials))),
        ("models", strings(rows, |s| &s.models)?),
        ("tools", strings(rows, |s| &s.tools)?),
        ("mcp_servers", strings(rows, |s| &s.mcp_servers)?),
        ("skills", skills(rows, |s| &s.skills)?),
        ("prompts", prompts(rows, |s| &s.prompts)?),
        ("sources", sources(rows, |s| &s.sources)?),
        ("gaps", gaps(rows, |s| &s.gaps)?),
        ("redactions", redactions(rows, |s| &s.redactions)?),
        ("fold_version", int32(rows, |s| s.fold_version)),
    ]);
    assemble(TableKind::Sessions, columns)
}

pub(super) fn audit(rows: &[&AuditEntry]) -> Result<RecordBatch> {
    let columns = vec![
        ("request_id", text(rows, |a| Some(a.request_id.as_str()))),
        ("action", text(rows, |a| Some(a.action.as_str()))),
        ("time", time(rows, |a| Some(a.time))),
        ("requested_at", time(rows, |a| Some(a.requested_at))),
        ("who", text(rows, |a| a.who.as_deref())),
        ("how", text(rows, |a| Some(a.how.as_str()))),
        ("reason", text(rows, |a| a.reason.as_deref())),
        ("outcome", text(rows, |a| Some(a.outcome.as_str()))),
        ("names", strings(rows, |a| &a.names)?),
        ("session_count", int(rows, |a| Some(a.session_count))),
        ("fact_rows", int(rows, |a| Some(a.fact_rows))),
        ("event_rows", int(rows, |a| Some(a.event_rows))),
        ("session_rows", int(rows, |a| Some(a.session_rows))),
        ("journal_records", int(rows, |a| Some(a.journal_records))),
        ("objects_before", int(rows, |a| Some(a.objects_before))),
        ("objects_after", int(rows, |a| Some(a.objects_after))),
        ("bytes_before", int(rows, |a| Some(a.bytes_before))),
        ("bytes_after", int(rows, |a| Some(a.bytes_after))),
        ("silent_writers", strings(rows, |a| &a.silent_writers)?),
        ("remaining", strings(rows, |a| &a.remaining)?),
        ("statement", text(rows, |a| a.statement.as_deref())),
        ("result_rows", int(rows, |a| a.result_rows)),
    ];
    assemble(TableKind::Audit, columns)
}
