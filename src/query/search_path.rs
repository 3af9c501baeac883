//! Grafana before version 11 asks which schemas are in the search path by a subquery that the engine cannot run. The library's
//! parser leaves `quote_ident(table_schema) IN ('')` of it; the one schema that is searched is `public`.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Statement, Value, VisitMut, VisitorMut};

struct Searched;

impl VisitorMut for Searched {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::InList { expr, list, .. } = expr
            && let [Expr::Value(value)] = list.as_mut_slice()
            && matches!(&value.value, Value::SingleQuotedString(text) if text.is_empty())
            && matches!(expr.as_ref(), Expr::Function(_))
            && expr.to_string() == "quote_ident(table_schema)"
        {
            value.value = Value::SingleQuotedString("public".to_owned());
        }
        ControlFlow::Continue(())
    }
}

/// Puts the schema where the library's parser has left the place empty.
pub fn fill(statement: &mut Statement) {
    // The visitor never breaks.
    let _ = statement.visit(&mut Searched);
}
