//! A row of a bench: what was measured, and whether it is as it is to be.

use anyhow::Result;
use serde::Serialize;

/// A row as it is printed.
#[derive(Serialize)]
pub(crate) struct Shown {
    pub(crate) what: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    pub(crate) target: String,
    pub(crate) ok: bool,
}

impl Shown {
    pub(crate) fn print(&self, json: bool) -> Result<()> {
        if json {
            println!("{}", serde_json::to_string(self)?);
            return Ok(());
        }
        let mark = if self.ok { "ok  " } else { "miss" };
        let (what, value) = (&self.what, self.value);
        println!(
            "{mark} {what:<50} {value:>9} {:<6} {}",
            self.unit, self.target
        );
        Ok(())
    }
}

/// Prints a figure to the thousandth; `target` is the most that it may be.
pub(crate) fn row(
    name: &str,
    what: &str,
    value: f64,
    unit: &'static str,
    target: Option<f64>,
    ok: bool,
    json: bool,
) -> Result<()> {
    let value = (value * 1000.0).round() / 1000.0;
    let shown = Shown {
        what: format!("{name}: {what}"),
        value,
        unit,
        target: target.map_or_else(|| "-".to_owned(), |t| format!("<= {t}")),
        ok: ok && target.is_none_or(|t| value <= t),
    };
    shown.print(json)
}
