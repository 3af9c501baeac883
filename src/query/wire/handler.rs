//! Statements, by the simple and the extended protocol.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use async_trait::async_trait;
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::sql::sqlparser::ast::{Set, Statement};
use datafusion_postgres::arrow_pg::datatypes::df::deserialize_parameters_with_server_types;
use datafusion_postgres::arrow_pg::datatypes::{arrow_schema_to_pg_fields, into_pg_type};
use datafusion_postgres::pgwire::api::portal::{Format, Portal};
use datafusion_postgres::pgwire::api::query::{ExtendedQueryHandler, SimpleQueryHandler};
use datafusion_postgres::pgwire::api::results::{DataRowEncoder, FieldInfo, QueryResponse, Response, Tag};
use datafusion_postgres::pgwire::api::stmt::QueryParser;
use datafusion_postgres::pgwire::api::store::PortalStore;
use datafusion_postgres::pgwire::api::{ClientInfo, ClientPortalStore, Type};
use datafusion_postgres::pgwire::error::{PgWireError, PgWireResult};
use datafusion_postgres::pgwire::messages::PgWireBackendMessage;
use datafusion_postgres::pgwire::messages::startup::ParameterStatus;
use datafusion_postgres::pgwire::types::format::FormatOptions;
use futures::{FutureExt, Sink, SinkExt};

use super::encode;
use super::held::Held;
use super::login::{Entered, fatal};
use super::rows::response;
use super::server::Shared;
use crate::auth::Permission;
use crate::query::error::Refused;
use crate::query::settings::{self, Rows};
use crate::query::statement::Bounds;

/// A statement that was understood.
#[derive(Clone)]
pub struct Prepared {
    text: String,
    what: What,
}

#[derive(Clone)]
enum What {
    Plan(Box<LogicalPlan>, Rows),
    /// `SET`, in lower case.
    Set(&'static str, String),
    Show(String),
    Begin,
    Commit,
    Rollback,
    /// A prepared statement, or all of them, are let go.
    Deallocate(Option<String>),
    /// Nothing to be done, with the tag of its success.
    Nothing(&'static str),
}

/// Statements of one connection. Cheap to clone.
#[derive(Clone)]
pub struct Handler {
    shared: Arc<Shared>,
    entered: Arc<OnceLock<Entered>>,
    held: Arc<Mutex<Held>>,
}

impl Handler {
    pub fn new(shared: Arc<Shared>, entered: Arc<OnceLock<Entered>>) -> Handler {
        let held = Arc::new(Mutex::new(Held::new(shared.held.clone())));
        Handler { shared, entered, held }
    }

    /// What the client has prepared and not closed.
    pub fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever is logged in with a token that is still good.
    fn entered(&self) -> PgWireResult<&Entered> {
        let entered = self.entered.get().ok_or_else(|| fatal("08P01", "no login".to_owned()))?;
        let still = self.shared.door.still(&entered.login, Permission::Read);
        still.map_err(|denied| fatal("57P01", denied.to_string()))?;
        Ok(entered)
    }

    async fn prepare<C: ClientInfo>(&self, client: &C, statement: Statement) -> PgWireResult<Prepared> {
        let text = statement.to_string();
        let rows = client.metadata().get(settings::ROWS).map(|text| Rows::parse(text)).transpose()?.unwrap_or_default();
        let what = match statement {
            Statement::Set(set) => setting(set)?,
            Statement::ShowVariable { variable } => {
                What::Show(variable.iter().map(|part| part.value.to_lowercase()).collect::<Vec<_>>().join("_"))
            }
            Statement::StartTransaction { .. } => What::Begin,
            Statement::Commit { .. } => What::Commit,
            Statement::Rollback { .. } => What::Rollback,
            Statement::Discard { .. } => What::Deallocate(None),
            Statement::Deallocate { name, .. } => {
                What::Deallocate((!name.value.eq_ignore_ascii_case("all")).then_some(name.value))
            }
            Statement::Reset { .. } => What::Nothing("RESET"),
            Statement::Close { .. } => What::Nothing("CLOSE CURSOR"),
            query => What::Plan(Box::new(self.entered()?.session.plan(query).await?), rows),
        };
        Ok(Prepared { text, what })
    }

    async fn answer<C>(&self, client: &mut C, prepared: Prepared, format: &Format) -> PgWireResult<Response>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let Prepared { text, what } = prepared;
        Ok(match what {
            What::Plan(plan, rows) => Response::Query(self.query(client, (*plan, rows), text, format)?),
            What::Set(name, value) => set(client, name, value).await?,
            What::Show(name) => Response::Query(show(client, &name)?),
            What::Begin => Response::TransactionStart(Tag::new("BEGIN")),
            What::Commit => Response::TransactionEnd(Tag::new("COMMIT")),
            What::Rollback => Response::TransactionEnd(Tag::new("ROLLBACK")),
            What::Deallocate(name) => {
                let mut held = self.held();
                for name in name.map_or_else(|| held.statements(), |name| vec![name]) {
                    client.portal_store().rm_statement(&name);
                    held.forget_statement(&name);
                }
                Response::Execution(Tag::new("DEALLOCATE"))
            }
            What::Nothing(tag) => Response::Execution(Tag::new(tag)),
        })
    }

    fn query<C: ClientInfo>(
        &self,
        client: &C,
        (plan, rows): (LogicalPlan, Rows),
        text: String,
        format: &Format,
    ) -> PgWireResult<QueryResponse> {
        let entered = self.entered()?;
        let options = entered.session.engine().options();
        let written = FormatOptions::from_client_metadata(client.metadata());
        let fields = Arc::new(encode::fields(rows, plan.schema().as_arrow(), format, Some(written))?);
        let limits = (options.result_rows, options.result);
        let wanted = client.metadata().get("statement_timeout").map(|text| settings::timeout(text)).transpose()?;
        let deadline = wanted.flatten().map_or(options.deadline, |wanted| wanted.min(options.deadline));
        let (session, handle) = (entered.session.clone(), Arc::clone(&entered.handle));
        let begin = async move {
            let signal = handle.start_query().await;
            // A signal that is replaced by the next statement's is no cancellation.
            let cancel = async move {
                if signal.await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            session.run(plan, text, Bounds { deadline, cancel: cancel.boxed() }).await
        };
        Ok(response(begin.boxed(), rows, fields, limits))
    }
}

fn setting(set: Set) -> Result<What, Refused> {
    match set {
        Set::SingleAssignment { variable, values, .. } => {
            let name = settings::settable(&variable.to_string())?;
            let value = values.first().map(ToString::to_string).unwrap_or_default();
            Ok(What::Set(name, value.trim_matches(['\'', '"']).to_owned()))
        }
        Set::SetTimeZone { value, .. } => {
            Ok(What::Set("timezone", value.to_string().trim_matches(['\'', '"']).to_owned()))
        }
        Set::SetTransaction { .. } | Set::SetNames { .. } | Set::SetNamesDefault {} => Ok(What::Nothing("SET")),
        other => Err(Refused::Setting(format!("this cannot be set here: {other}"))),
    }
}

async fn set<C>(client: &mut C, name: &'static str, value: String) -> PgWireResult<Response>
where
    C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
    PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
{
    match name {
        "statement_timeout" => drop(settings::timeout(&value)?),
        settings::ROWS => drop(Rows::parse(&value)?),
        _ => {}
    }
    client.metadata_mut().insert(name.to_owned(), value.clone());
    let reported = [("datestyle", "DateStyle"), ("intervalstyle", "IntervalStyle"), ("timezone", "TimeZone")];
    let plain = ["application_name", "client_encoding", "standard_conforming_strings"].map(|name| (name, name));
    if let Some((_, shown)) = reported.into_iter().chain(plain).find(|(known, _)| *known == name) {
        let status = ParameterStatus::new(shown.to_owned(), value);
        client.feed(PgWireBackendMessage::ParameterStatus(status)).await?;
    }
    Ok(Response::Execution(Tag::new("SET")))
}

fn show<C: ClientInfo>(client: &C, name: &str) -> PgWireResult<QueryResponse> {
    let key = match name {
        "time_zone" => "timezone",
        "transaction_isolation_level" => "transaction_isolation",
        name => name,
    };
    let set = client.metadata().get(key).cloned().filter(|_| settings::settable(key).is_ok());
    let value = set
        .or_else(|| settings::default_of(key))
        .ok_or_else(|| Refused::Setting(format!("unrecognized configuration parameter \"{}\"", key.escape_debug())))?;
    let schema = shown(key);
    let fields = Arc::new(arrow_schema_to_pg_fields(&schema, &Format::UnifiedText, None)?);
    let mut encoder = DataRowEncoder::new(Arc::clone(&fields));
    encoder.encode_field(&Some(value))?;
    let row = encoder.take_row();
    Ok(QueryResponse::new(fields, futures::stream::once(async move { Ok(row) })))
}

fn shown(name: &str) -> Schema {
    Schema::new(vec![Field::new(name, DataType::Utf8, false)])
}

#[async_trait]
impl SimpleQueryHandler for Handler {
    async fn do_query<C>(&self, client: &mut C, query: &str) -> PgWireResult<Vec<Response>>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let statements = self.entered()?.session.parse(query)?;
        if statements.is_empty() {
            return Ok(vec![Response::EmptyQuery]);
        }
        let mut responses = Vec::with_capacity(statements.len());
        for statement in statements {
            let prepared = self.prepare(client, statement).await?;
            responses.push(self.answer(client, prepared, &Format::UnifiedText).await?);
        }
        Ok(responses)
    }
}

#[async_trait]
impl ExtendedQueryHandler for Handler {
    type Statement = Prepared;
    type QueryParser = Handler;

    fn query_parser(&self) -> Arc<Handler> {
        Arc::new(self.clone())
    }

    async fn do_query<C>(&self, client: &mut C, portal: &Portal<Prepared>, _max_rows: usize) -> PgWireResult<Response>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Prepared>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let mut prepared = portal.statement.statement.clone();
        if let What::Plan(plan, _) = &mut prepared.what {
            let given = &portal.statement.parameter_types;
            let mut parameters = parameters(plan)?;
            for (parameter, given) in parameters.iter_mut().zip(given) {
                *parameter = as_given(parameter, given.as_ref());
            }
            let types: Vec<Option<&DataType>> = parameters.iter().map(Some).collect();
            let wire = parameters.iter().map(into_pg_type).collect::<PgWireResult<Vec<Type>>>()?;
            let values =
                deserialize_parameters_with_server_types(portal, &types, &wire.iter().map(Some).collect::<Vec<_>>())?;
            let bound = plan.as_ref().clone().replace_params_with_values(&values).map_err(Refused::from)?;
            **plan = bound;
        }
        self.answer(client, prepared, &portal.result_column_format).await
    }
}

#[async_trait]
impl QueryParser for Handler {
    type Statement = Prepared;

    async fn parse_sql<C>(&self, client: &C, sql: &str, _types: &[Option<Type>]) -> PgWireResult<Option<Prepared>>
    where
        C: ClientInfo + Unpin + Send + Sync,
    {
        let mut statements = self.entered()?.session.parse(sql)?;
        if statements.len() > 1 {
            let text = "cannot insert multiple commands into a prepared statement".to_owned();
            return Err(Refused::Syntax(text).into());
        }
        match statements.pop() {
            Some(statement) => self.prepare(client, statement).await.map(Some),
            None => Ok(None),
        }
    }

    fn get_parameter_types(&self, statement: &Prepared) -> PgWireResult<Vec<Type>> {
        match &statement.what {
            What::Plan(plan, _) => parameters(plan)?.iter().map(into_pg_type).collect(),
            _ => Ok(Vec::new()),
        }
    }

    fn get_result_schema(&self, statement: &Prepared, format: Option<&Format>) -> PgWireResult<Vec<FieldInfo>> {
        let format = format.unwrap_or(&Format::UnifiedText);
        match &statement.what {
            What::Plan(plan, rows) => encode::fields(*rows, plan.schema().as_arrow(), format, None),
            What::Show(name) => arrow_schema_to_pg_fields(&shown(name), format, None),
            _ => Ok(Vec::new()),
        }
    }
}

/// The types of `$1`, `$2`, ...: from what each is compared to, or cast to; else text.
fn parameters(plan: &LogicalPlan) -> Result<Vec<DataType>, Refused> {
    let inferred = plan.get_parameter_types()?;
    let cast = casts(plan)?;
    let number = |name: &str| name.trim_start_matches('$').parse::<usize>().unwrap_or(0);
    let most = inferred.keys().map(|name| number(name)).max().unwrap_or(0);
    let of = |n: usize| {
        let name = format!("${n}");
        let known = inferred.get(&name).cloned().flatten().or_else(|| cast.get(&name).cloned());
        match known {
            None | Some(DataType::Utf8View | DataType::Null) => DataType::Utf8,
            Some(other) => other,
        }
    };
    // A plan of a bounded text holds fewer; a number beyond is a mistake.
    Ok((1..=most.min(1_000)).map(of).collect())
}

/// What a client sends for a decimal may be another number, if it says so; the engine converts it.
fn as_given(meant: &DataType, given: Option<&Type>) -> DataType {
    match (meant, given) {
        (DataType::Decimal128(..), Some(&(Type::INT2 | Type::INT4 | Type::INT8))) => DataType::Int64,
        (DataType::Decimal128(..), Some(&(Type::FLOAT4 | Type::FLOAT8))) => DataType::Float64,
        _ => meant.clone(),
    }
}

fn casts(plan: &LogicalPlan) -> Result<HashMap<String, DataType>, Refused> {
    let mut casts = HashMap::new();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::Cast(cast) = expr
                    && let Expr::Placeholder(placeholder) = cast.expr.as_ref()
                {
                    casts.insert(placeholder.id.clone(), cast.field.data_type().clone());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(casts)
}
