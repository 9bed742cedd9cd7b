//! `doctor`: looks for what is wrong with a cluster and its nodes, or may soon be, and says what to do.
//!
//! `facts` asks and measures; `cluster` and `machine` judge what was found, in plain code that asks nobody.

use serde::Serialize;
use serde_json::json;

use crate::args::{ConnectArgs, Format};
use crate::failure::Failure;
use crate::health::Health;
use crate::{find, output};

mod cluster;
mod facts;
mod machine;

use facts::Facts;

/// From good to bad, but for `Skip`: that could not be looked at from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Grade {
    Ok,
    Skip,
    Warn,
    Fail,
}

impl Grade {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skip => "skip",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    check: &'static str,
    result: Grade,
    found: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl Check {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self::of(check, Grade::Ok, found, None)
    }

    fn skip(check: &'static str, found: impl Into<String>) -> Self {
        Self::of(check, Grade::Skip, found, None)
    }

    fn warn(check: &'static str, found: impl Into<String>, remedy: &str) -> Self {
        Self::of(check, Grade::Warn, found, Some(remedy))
    }

    fn fail(check: &'static str, found: impl Into<String>, remedy: &str) -> Self {
        Self::of(check, Grade::Fail, found, Some(remedy))
    }

    fn of(
        check: &'static str,
        result: Grade,
        found: impl Into<String>,
        remedy: Option<&str>,
    ) -> Self {
        Self {
            check,
            result,
            found: found.into(),
            remedy: remedy.map(str::to_owned),
        }
    }
}

pub(crate) async fn run(place: &ConnectArgs, format: Format) -> Result<(), Failure> {
    let checks = look(place).await?;
    let failed = checks.iter().any(|check| check.result == Grade::Fail);
    match format {
        Format::Json => output::print_json(&json!({ "ok": !failed, "checks": checks }))?,
        Format::Table => show(&checks)?,
    }
    match failed {
        true => Err(Failure::Unwell(Health::Degraded)),
        false => Ok(()),
    }
}

/// What was found, of the node that `place` names and of its cluster.
pub(crate) async fn look(place: &ConnectArgs) -> Result<Vec<Check>, Failure> {
    let client = match find::connect(place).await {
        Ok(client) => client,
        Err(usage @ Failure::Usage(_)) => return Err(usage),
        Err(failure) => {
            let remedy = "start the node, or name it by --socket or --endpoint; its log says why it does not serve";
            return Ok(vec![Check::fail("node", failure.to_string(), remedy)]);
        }
    };
    Ok(match facts::of(place, &client).await {
        Ok(facts) => checks(&facts),
        Err(failure) => {
            let remedy = "look into the log of the node; it is connected and does not serve";
            vec![Check::fail("node", failure.to_string(), remedy)]
        }
    })
}

fn checks(facts: &Facts) -> Vec<Check> {
    let mut checks = cluster::checks(facts);
    checks.extend(machine::checks(facts));
    checks
}

fn show(checks: &[Check]) -> Result<(), Failure> {
    for check in checks {
        output::print(&format!(
            "{:<5} {:<12} {}",
            check.result.word(),
            check.check,
            check.found
        ))?;
        if let Some(remedy) = &check.remedy {
            output::print(&format!("{:18} -> {remedy}", ""))?;
        }
    }
    let count = |grade| checks.iter().filter(|check| check.result == grade).count();
    output::print("")?;
    output::print(&format!(
        "{} ok, {} not looked at, {} warnings, {} failures",
        count(Grade::Ok),
        count(Grade::Skip),
        count(Grade::Warn),
        count(Grade::Fail)
    ))
}
