//! Redacts OTLP export requests on the wire, following the message table (`model::otlp::schema`).
//!
//! Every byte of the result is either a field's tag and length, a number, an id of its exact length, or text that was
//! scanned: strings and byte values are scanned wherever the table has them, fields that the table does not know are
//! dropped, and a message that contradicts the table is refused. So what is unredacted cannot reach the journal, and a
//! field that is added to the table is scanned from that day on.
//!
//! Messages that redaction does not touch are not copied: a parent is rewritten from its first changed child on.

use super::RecordIdentity;
use super::echo::Found;
use super::engine::Place as Where;
use super::ids;
use super::marks::UNSCANNED;
use super::policy::PolicySet;
use super::subject;
use super::texts::{Tally, Texts};
use crate::model::otlp::check::{self, MAX_DEPTH};
use crate::model::otlp::schema::{self, Field, FieldKind, Message, Presence};
use crate::model::otlp::wire::{Entry, Value, WireError, entries, put_bytes};
use crate::model::{RecordHits, Workspace};

/// `AnyValue.string_value`.
const STRING_VALUE: u32 = 1;

/// A request after the walk.
pub struct Walked {
    /// `None`: not a byte changed.
    pub request: Option<Vec<u8>>,
    pub records: u32,
    /// Records that were left out: their form is sound, what they say is not. With the first one's fault.
    pub rejected: Option<(u32, WireError)>,
    pub hits: Vec<RecordHits>,
    pub total: Tally,
    pub reported: Tally,
    /// Records that a rule left out.
    pub dropped: u32,
}

/// Redacts a request of type `message`. A secret that one of its records showed may stand in what encloses the record, which
/// was read before: then the request is read once more.
pub fn redact(
    message: &'static Message,
    request: &[u8],
    policies: &PolicySet,
    workspace: &Workspace,
    identity: RecordIdentity<'_>,
) -> Result<Walked, WireError> {
    let (walked, found) = walk(message, request, policies, workspace, identity, Found::default())?;
    let kept = walked.request.as_deref().unwrap_or(request);
    match found.standing_in(kept) {
        found if found.len() > 0 => Ok(walk(message, request, policies, workspace, identity, found)?.0),
        _ => Ok(walked),
    }
}

/// One reading; `known` secrets are hidden in what encloses records. Returns the secrets of the records as well.
fn walk(
    message: &'static Message,
    request: &[u8],
    policies: &PolicySet,
    workspace: &Workspace,
    identity: RecordIdentity<'_>,
    known: Found,
) -> Result<(Walked, Found), WireError> {
    let mut walk = Walk {
        texts: Texts::knowing(policies.base(), policies.keys(), known),
        found: Found::default(),
        policies,
        workspace,
        identity,
        dropped: 0,
        records: 0,
        rejected: None,
        hits: Vec::new(),
        total: Tally::default(),
        pending: Tally::default(),
    };
    let request = walk.enclosing(message, request, Place::default())?;
    let pending = std::mem::take(&mut walk.pending);
    walk.total.merge(&pending);
    let walked = Walked {
        request,
        records: walk.records,
        rejected: walk.rejected,
        hits: walk.hits,
        total: walk.total,
        reported: walk.texts.take_reported(),
        dropped: walk.dropped,
    };
    Ok((walked, walk.found))
}

/// What encloses a record, unredacted.
#[derive(Clone, Copy, Default)]
struct Place<'a> {
    resource: &'a [u8],
    scope: &'a [u8],
    metric: &'a str,
    /// A rule hit in what encloses the record: its identity cannot be computed any more from what is kept.
    hit: bool,
}

/// What becomes of one field occurrence.
enum Change {
    Keep,
    Drop,
    Replace(Vec<u8>),
    /// A number became text: another field of the `AnyValue`.
    Text(String),
}

struct Walk<'w> {
    texts: Texts<'w>,
    /// Secrets of records.
    found: Found,
    policies: &'w PolicySet,
    workspace: &'w Workspace,
    dropped: u32,
    identity: RecordIdentity<'w>,
    records: u32,
    rejected: Option<(u32, WireError)>,
    hits: Vec<RecordHits>,
    total: Tally,
    /// Hits in resources, scopes and metrics that no record has been listed with yet.
    pending: Tally,
}

impl Walk<'_> {
    /// A message that holds records, in two passes: what all its records share comes first, wherever it stands.
    fn enclosing<'a>(
        &mut self,
        message: &'static Message,
        bytes: &'a [u8],
        mut place: Place<'a>,
    ) -> Result<Option<Vec<u8>>, WireError> {
        let fields: Vec<Entry<'a>> = entries(bytes).collect::<Result<_, _>>()?;
        let found_outside = self.texts.found();
        let mut changes = Vec::with_capacity(fields.len());
        self.texts.start_echo();
        for entry in &fields {
            let change = match message.field(entry.number) {
                Some(field) if bears_records(field) => Change::Keep,
                Some(field) => {
                    place.note(message, entry);
                    self.set_policy(place, None);
                    self.field(field, entry, &Where::default(), 0)?
                }
                None => Change::Drop,
            };
            changes.push(change);
        }
        self.texts.end_echo();
        // What a rule says of events does not reach what they share.
        self.texts.take_drop();
        let shared = self.texts.take();
        place.hit |= !shared.is_empty();
        self.pending.merge(&shared);
        for (entry, change) in fields.iter().zip(&mut changes) {
            if let Some(field) = message.field(entry.number).filter(|field| bears_records(field)) {
                *change = self.below(field, entry, place)?;
            }
        }
        self.texts.forget(found_outside);
        let mut output = Output::new(bytes);
        for (entry, change) in fields.iter().zip(changes) {
            output.put(entry, change);
        }
        Ok(output.finish())
    }

    /// The policy of a record, or of what encloses records, which has no tool, user or event of its own.
    fn set_policy(&mut self, place: Place<'_>, record: Option<(&'static Message, &[u8])>) {
        if self.policies.asks_for_subjects() {
            let subject = subject::of_record(self.workspace, place.resource, record);
            self.texts.set_policy(self.policies.choose(&subject));
        }
    }

    fn below<'a>(&mut self, field: &Field, entry: &Entry<'a>, place: Place<'a>) -> Result<Change, WireError> {
        let (FieldKind::Message(message), Value::Bytes(bytes)) = (field.kind, entry.value) else {
            return Err(WireError::WrongType(entry.number));
        };
        if !message.is_record() {
            return Ok(self.enclosing(message, bytes, place)?.map_or(Change::Keep, Change::Replace));
        }
        match self.record(message, bytes, place) {
            Ok(change) => Ok(change),
            Err(fault) if is_the_records_own(fault) => {
                self.texts.take();
                let (count, first) = self.rejected.unwrap_or((0, fault));
                self.rejected = Some((count + 1, first));
                Ok(Change::Drop)
            }
            Err(fault) => Err(fault),
        }
    }

    fn record(&mut self, message: &'static Message, bytes: &[u8], place: Place<'_>) -> Result<Change, WireError> {
        self.set_policy(place, Some((message, bytes)));
        let found_outside = self.texts.found();
        let mut new = self.message(message, bytes, &Where::default(), 0)?;
        // A secret that was found once is hidden wherever it stands in the record.
        if self.texts.start_echo_of_redacted() {
            let echoed = self.message(message, new.as_deref().unwrap_or(bytes), &Where::default(), 0);
            self.texts.end_echo();
            new = echoed?.or(new);
        }
        self.found.extend(self.texts.found_after(found_outside));
        self.texts.forget(found_outside);
        let own = self.texts.take();
        if self.texts.take_drop() {
            self.total.merge(&own);
            self.dropped += 1;
            return Ok(Change::Drop);
        }
        let index = self.records;
        self.records += 1;
        if place.hit || !own.is_empty() {
            let identity = (self.identity)(place.resource, place.scope, place.metric, message, bytes);
            let mut tally = std::mem::take(&mut self.pending);
            tally.merge(&own);
            self.total.merge(&tally);
            self.hits.push(RecordHits { index, identity, redactions: tally.into_sorted() });
        }
        Ok(new.map_or(Change::Keep, Change::Replace))
    }

    /// Any message; `place` is the key that an `AnyValue` stands under, `depth` counts the `AnyValue`s around it.
    fn message(
        &mut self,
        message: &'static Message,
        bytes: &[u8],
        place: &Where<'_>,
        depth: usize,
    ) -> Result<Option<Vec<u8>>, WireError> {
        let depth = depth + usize::from(message.is(&schema::ANY_VALUE));
        if depth > MAX_DEPTH {
            return Err(WireError::Depth(MAX_DEPTH));
        }
        // The key is read first, wherever it stands: it is the value's context.
        let key = if message.is(&schema::KEY_VALUE) { key_of(bytes)? } else { None };
        let path = self.path(place, key);
        let place = &Where { key: key.or(place.key), path: path.as_deref().unwrap_or(place.path) };
        let mut output = Output::new(bytes);
        for entry in entries(bytes) {
            let entry = entry?;
            let change = match message.field(entry.number) {
                Some(field) => self.field(field, &entry, place, depth)?,
                None => Change::Drop,
            };
            output.put(&entry, change);
        }
        Ok(output.finish())
    }

    /// The keys down to a value under `key`, if anybody wants to know.
    fn path(&self, place: &Where<'_>, key: Option<&str>) -> Option<String> {
        let key = key.filter(|_| self.texts.engine().wants_paths())?;
        Some(if place.path.is_empty() { key.to_owned() } else { format!("{}.{key}", place.path) })
    }

    fn field(
        &mut self,
        field: &Field,
        entry: &Entry<'_>,
        place: &Where<'_>,
        depth: usize,
    ) -> Result<Change, WireError> {
        let new = match field.kind {
            FieldKind::Str => {
                let text = entry.text()?;
                // Only an `AnyValue`'s string stands under the key; the key itself is judged by its form.
                let is_value = field.presence == Presence::Explicit;
                let own = Where { key: None, path: field.json_name };
                self.texts.string(text, if is_value { place } else { &own }).map(String::into_bytes)
            }
            FieldKind::Bytes => self.bytes(entry.bytes()?, place),
            FieldKind::Id(length) => entry.id(length).map(|_| None)?,
            FieldKind::Message(message) => self.message(message, entry.bytes()?, place, depth)?,
            _ => {
                let mut number = None;
                check::numbers(field, entry, &mut |bits| number = Some(bits))?;
                // Of numbers, only an `AnyValue`'s stand under a key.
                let digits = number.filter(|_| field.presence == Presence::Explicit && place.key.is_some());
                let text = digits.and_then(|bits| self.number(field.kind, bits, place));
                return Ok(text.map_or(Change::Keep, Change::Text));
            }
        };
        Ok(new.map_or(Change::Keep, Change::Replace))
    }

    /// A number that means something (a card's, a PIN under its name) becomes text.
    fn number(&mut self, kind: FieldKind, bits: u64, place: &Where<'_>) -> Option<String> {
        let digits = match kind {
            FieldKind::Int64 if bits.cast_signed().unsigned_abs() < ids::SHORTEST_TELLING => return None,
            FieldKind::Int64 => bits.cast_signed().to_string(),
            FieldKind::Double => f64::from_bits(bits).to_string(),
            _ => return None,
        };
        if ids::is_telling(place.key, digits.trim_start_matches('-')) {
            self.texts.string(&digits, place)
        } else {
            None
        }
    }

    /// Bytes that are text are redacted as text; others are kept only if, read as text, nothing in them hits.
    fn bytes(&mut self, bytes: &[u8], place: &Where<'_>) -> Option<Vec<u8>> {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.texts.string(text, place).map(String::into_bytes),
            Err(_) => {
                let new = self.texts.string(&String::from_utf8_lossy(bytes), place);
                new.map(|_| UNSCANNED.as_bytes().to_vec())
            }
        }
    }
}

impl<'a> Place<'a> {
    /// Takes note of a resource, a scope or a metric's name. A repeated one replaces the earlier.
    fn note(&mut self, message: &'static Message, entry: &Entry<'a>) {
        let (1, Value::Bytes(bytes)) = (entry.number, entry.value) else { return };
        match message {
            m if is_one_of(m, &[&schema::RESOURCE_LOGS, &schema::RESOURCE_SPANS, &schema::RESOURCE_METRICS]) => {
                self.resource = bytes;
            }
            m if is_one_of(m, &[&schema::SCOPE_LOGS, &schema::SCOPE_SPANS, &schema::SCOPE_METRICS]) => {
                self.scope = bytes
            }
            m if m.is(&schema::METRIC) => self.metric = std::str::from_utf8(bytes).unwrap_or_default(),
            _ => {}
        }
    }
}

/// A message being written anew: nothing is copied before the first change.
struct Output<'a> {
    bytes: &'a [u8],
    out: Option<Vec<u8>>,
}

impl<'a> Output<'a> {
    fn new(bytes: &'a [u8]) -> Output<'a> {
        Output { bytes, out: None }
    }

    fn put(&mut self, entry: &Entry<'_>, change: Change) {
        match (change, &mut self.out) {
            (Change::Keep, None) => {}
            (Change::Keep, Some(out)) => out.extend_from_slice(&self.bytes[entry.range.clone()]),
            (change, out) => {
                let out = out.get_or_insert_with(|| self.bytes[..entry.range.start].to_vec());
                match change {
                    Change::Replace(new) => put_bytes(out, entry.number, &new),
                    Change::Text(new) => put_bytes(out, STRING_VALUE, new.as_bytes()),
                    Change::Keep | Change::Drop => {}
                }
            }
        }
    }

    fn finish(self) -> Option<Vec<u8>> {
        self.out
    }
}

/// Faults of one record that leave its neighbours readable: it alone is rejected (OTLP 1.11, "Partial Success"). Any
/// other fault means that the bytes are no OTLP request.
fn is_the_records_own(fault: WireError) -> bool {
    matches!(fault, WireError::IdLength(..) | WireError::Depth(_) | WireError::Utf8(_))
}

fn is_one_of(message: &'static Message, types: &[&'static Message]) -> bool {
    types.iter().any(|t| message.is(t))
}

/// Whether records lie in or under a field. Decided by the table itself: a field bears records if its message is a record
/// or has a field that bears records (an enclosing message has at most four levels below it).
fn bears_records(field: &Field) -> bool {
    fn bears(message: &'static Message, levels: usize) -> bool {
        message.is_record()
            || levels > 0
                && message.fields.iter().any(|f| matches!(f.kind, FieldKind::Message(m) if bears(m, levels - 1)))
    }
    matches!(field.kind, FieldKind::Message(message) if bears(message, 4))
}

fn key_of(bytes: &[u8]) -> Result<Option<&str>, WireError> {
    let mut key = None;
    for entry in entries(bytes) {
        if let Entry { number: 1, value: Value::Bytes(bytes), .. } = entry? {
            key = Some(std::str::from_utf8(bytes).map_err(|_| WireError::Utf8(1))?);
        }
    }
    Ok(key)
}
