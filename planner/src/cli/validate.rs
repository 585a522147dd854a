//! `vmpack validate`.

use serde::Serialize;
use vmpack_domain::exit::Exit;
use vmpack_domain::file::{
    InputError, Kind, Source, kind_of, parse, read_certificate, read_cluster, read_inputs,
    read_load, read_plan, read_policy,
};
use vmpack_planner::whatif::Scenario;

use super::arguments::ValidateArguments;
use super::failure::Failure;
use super::regress::case::read_case;
use super::screen::{Look, count};
use super::session::Session;
use super::sources;

/// What was found of one file.
#[derive(Debug, Serialize)]
struct Finding {
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    ok: bool,
    /// What is in it, when it is sound.
    #[serde(skip_serializing_if = "Option::is_none")]
    holds: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Fault>,
}

#[derive(Debug, Serialize)]
struct Fault {
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<u64>,
    message: String,
}

/// The whole verdict as JSON.
#[derive(Serialize)]
struct Verdict<'a> {
    ok: bool,
    files: &'a [Finding],
    warnings: &'a [String],
}

/// Reads each file, then those that belong together against each other.
pub(crate) fn run(arguments: &ValidateArguments, session: &mut Session) -> Result<Exit, Failure> {
    let mut findings = Vec::new();
    let mut faults: Vec<Failure> = Vec::new();
    let mut sound: Vec<(Kind, Source)> = Vec::new();
    for path in &arguments.files {
        match sources::read(std::slice::from_ref(path), &mut session.stdin) {
            Ok(read) => {
                for source in read {
                    let (finding, error) = look(&source);
                    match error {
                        Some(error) => faults.push(error.into()),
                        None => sound.extend(kind_of(&source).ok().map(|kind| (kind, source))),
                    }
                    findings.push(finding);
                }
            }
            Err(failure) if failure.exit == Exit::BadInput => {
                findings.push(Finding {
                    file: path.display().to_string(),
                    kind: None,
                    ok: false,
                    holds: None,
                    error: Some(Fault {
                        line: None,
                        column: None,
                        message: failure.message.clone(),
                    }),
                });
                faults.push(failure);
            }
            Err(failure) => return Err(failure),
        }
    }
    let mut warnings = Vec::new();
    if faults.is_empty() {
        match together(sound) {
            Ok(found) => warnings = found,
            Err(error) => {
                if let Some(finding) = findings.iter_mut().find(|f| f.file == error.file) {
                    finding.ok = false;
                    finding.error = Some(fault(&error));
                }
                faults.push(error.into());
            }
        }
    }
    if arguments.json {
        session.print_json(&Verdict {
            ok: faults.is_empty(),
            files: &findings,
            warnings: &warnings,
        })?;
    } else {
        for finding in findings.iter().filter(|f| f.ok) {
            let ok = session.screen.paint(Look::Good, "ok");
            let holds = finding.holds.as_deref().unwrap_or_default();
            writeln!(session.out, "{ok}  {}: {holds}", finding.file)?;
        }
    }
    for warning in &warnings {
        writeln!(session.err, "warning: {warning}")?;
    }
    for failure in &faults {
        failure.tell(session.err);
    }
    Ok(if faults.is_empty() {
        Exit::Done
    } else {
        Exit::BadInput
    })
}

fn look(source: &Source) -> (Finding, Option<InputError>) {
    let kind = kind_of(source);
    let holds = kind.clone().and_then(|kind| holds(kind, source));
    let (holds, error) = match holds {
        Ok(holds) => (Some(holds), None),
        Err(error) => (None, Some(error)),
    };
    let finding = Finding {
        file: source.name.clone(),
        kind: kind.ok().map(Kind::name),
        ok: error.is_none(),
        holds,
        error: error.as_ref().map(fault),
    };
    (finding, error)
}

fn fault(error: &InputError) -> Fault {
    Fault {
        line: error.line,
        column: error.column,
        message: error.message.clone(),
    }
}

/// What a sound file holds, in words.
fn holds(kind: Kind, source: &Source) -> Result<String, InputError> {
    let one = std::slice::from_ref(source);
    Ok(match kind {
        Kind::Cluster => {
            // Its guests may run on hosts of another file: only its text is judged here.
            let cluster: vmpack_domain::Cluster = vmpack_domain::file::parse(source, kind)?;
            format!(
                "cluster of {} and {}",
                count(cluster.hosts.len(), "host"),
                count(cluster.guests.len(), "guest")
            )
        }
        Kind::Load => format!("load of {}", count(read_load(one)?.guests.len(), "guest")),
        Kind::Policy => format!(
            "policy with {}",
            count(read_policy(one)?.rules.len(), "rule")
        ),
        Kind::Plan => format!("plan of {}", count(read_plan(source)?.moves.len(), "move")),
        Kind::Certificate => {
            let bound = read_certificate(source)?.bound;
            let hosts = usize::try_from(bound.hosts).unwrap_or(usize::MAX);
            format!("certificate of {} at least", count(hosts, "host"))
        }
        Kind::Case => format!("case: {}", read_case(source)?.about),
        Kind::Scenario => {
            let scenario: Scenario = parse(source, Kind::Scenario)?;
            format!("scenario of {}", count(scenario.edits.len(), "edit"))
        }
    })
}

/// Cluster, load and policy files against each other, when a cluster is among them.
fn together(sound: Vec<(Kind, Source)>) -> Result<Vec<String>, InputError> {
    let (mut cluster, mut load, mut policy) = (Vec::new(), Vec::new(), Vec::new());
    for (kind, source) in sound {
        match kind {
            Kind::Cluster => cluster.push(source),
            Kind::Load => load.push(source),
            Kind::Policy => policy.push(source),
            Kind::Plan | Kind::Certificate | Kind::Case | Kind::Scenario => {}
        }
    }
    if cluster.is_empty() {
        return Ok(Vec::new());
    }
    read_cluster(&cluster)?;
    read_inputs(&cluster, &load, &policy).map(|inputs| inputs.warnings)
}
