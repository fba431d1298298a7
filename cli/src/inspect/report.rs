//! A report as text.

use std::fmt::{self, Write as _};

use super::finding::{Finding, Id, Problem, Report, Severity};
use crate::output::Paint;

/// The report as people read it.
pub(crate) fn text(report: &Report, paint: Paint) -> String {
    let mut text = String::new();
    // Writing into a string does not fail.
    let _ = write_report(&mut text, report, paint);
    text
}

fn write_report(out: &mut String, report: &Report, paint: Paint) -> fmt::Result {
    if let (Some(folder), Some(from)) = (&report.folder, &report.folder_from) {
        writeln!(out, "folder {} ({from})", folder.display())?;
    }
    write_problems(out, &report.problems, paint)?;
    for finding in &report.sockets {
        write_finding(out, finding, paint)?;
    }
    if report.sockets.is_empty() && !report.is_bad() {
        writeln!(out, "  nothing in it: no component is served here")?;
    }
    Ok(())
}

fn write_finding(out: &mut String, finding: &Finding, paint: Paint) -> fmt::Result {
    let name = paint.bold(&finding.path.display().to_string());
    let state = match finding.latency_us {
        Some(latency) => {
            let milliseconds = latency as f64 / 1000.0;
            paint.green(&format!("answers in {milliseconds:.1} ms"))
        }
        None => paint.red("does not answer"),
    };
    writeln!(out, "{name}  {state}")?;
    write_list(out, "types", &finding.types)?;
    let services: Vec<String> = finding.services.iter().map(|name| short(name)).collect();
    write_list(out, "services", &services)?;
    if let (Some(mode), Some(owner), Some(group)) = (&finding.mode, &finding.owner, &finding.group)
    {
        write!(out, "  socket    {mode} {owner}:{group}")?;
        if let Some(process) = &finding.process {
            let name = process.name.as_deref().unwrap_or("process");
            write!(out, ", served by {name} ({})", process.pid)?;
        }
        writeln!(out)?;
    }
    write_problems(out, &finding.problems, paint)
}

fn write_list(out: &mut String, title: &str, items: &[String]) -> fmt::Result {
    if items.is_empty() {
        return Ok(());
    }
    writeln!(out, "  {title:<9} {}", items.join(", "))
}

fn write_problems(out: &mut String, problems: &[Problem], paint: Paint) -> fmt::Result {
    for problem in problems {
        let severity = match problem.severity {
            Severity::Error => paint.red("error"),
            Severity::Warning => paint.yellow("warning"),
        };
        let gap = match problem.severity {
            Severity::Error => "     ",
            Severity::Warning => "   ",
        };
        writeln!(out, "  {severity}{gap}{}", problem.text)?;
    }
    Ok(())
}

/// Dapr's services without their package, which is the same for all of them.
fn short(service: &str) -> String {
    let own = service.strip_prefix("dapr.proto.components.v1.");
    own.unwrap_or(service).to_owned()
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => f.write_str(name),
            None => write!(f, "{}", self.id),
        }
    }
}
