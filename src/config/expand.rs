//! `${env:VAR}`, `${env:VAR:-default}` and `$$` in values.

use super::values::Wrong;

/// Looks up an environment variable.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Expands a value once: what a variable holds is not expanded again. `${VAR}` is short for `${env:VAR}`.
pub fn expand(value: &str, env: Env<'_>) -> Result<String, Wrong> {
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = expand_dollar(&rest[at + 1..], env, &mut out)?;
    }
    out.push_str(rest);
    Ok(out)
}

/// Expands what follows a dollar sign into `out`, and returns what is left.
fn expand_dollar<'a>(after: &'a str, env: Env<'_>, out: &mut String) -> Result<&'a str, Wrong> {
    if let Some(rest) = after.strip_prefix('$') {
        out.push('$');
        return Ok(rest);
    }
    let Some(inner) = after.strip_prefix('{') else {
        out.push('$');
        return Ok(after);
    };
    let (reference, rest) = inner.split_once('}').ok_or_else(|| Wrong {
        message: "'${' is not closed".to_owned(),
        help: Some("write ${env:NAME}, or $$ for a dollar sign".to_owned()),
    })?;
    out.push_str(&lookup(reference, env)?);
    Ok(rest)
}

fn lookup(reference: &str, env: Env<'_>) -> Result<String, Wrong> {
    let reference = reference.strip_prefix("env:").unwrap_or(reference);
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err(Wrong {
            message: format!("'${{{reference}}}' is no reference to an environment variable"),
            help: Some("write ${env:NAME} or ${env:NAME:-default}; only env is known".to_owned()),
        });
    }
    // As in the collector, a variable that is set but empty takes the default too.
    env(name).filter(|value| !value.is_empty() || default.is_none()).or_else(|| default.map(str::to_owned)).ok_or_else(
        || Wrong {
            message: format!("environment variable {name} is not set"),
            help: Some(format!("set it, or give a default: ${{env:{name}:-default}}")),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "HOST" => Some("10.0.0.1".to_owned()),
            "EMPTY" => Some(String::new()),
            "TRICK" => Some("${env:HOST}".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn variables_defaults_and_escapes_are_expanded_once() {
        for (written, meant) in [
            ("${env:HOST}:4317", "10.0.0.1:4317"),
            ("${HOST}", "10.0.0.1"),
            ("${env:NONE:-a:-b}", "a:-b"),
            ("${env:EMPTY:-x}", "x"),
            ("${env:EMPTY}", ""),
            ("$${env:HOST}", "${env:HOST}"),
            ("${env:TRICK}", "${env:HOST}"),
            ("a$b$", "a$b$"),
        ] {
            assert_eq!(expand(written, &env).unwrap(), meant, "{written}");
        }
    }

    #[test]
    fn a_missing_variable_an_open_brace_and_another_provider_are_errors() {
        for bad in ["${env:NONE}", "${env:HOST", "${file:/etc/passwd}", "${}"] {
            assert!(expand(bad, &env).is_err(), "{bad}");
        }
    }
}
