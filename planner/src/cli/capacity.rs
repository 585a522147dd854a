//! `vmpack capacity`.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::Serialize;
use vmpack_domain::demand::demands;
use vmpack_domain::exit::Exit;
use vmpack_domain::units::{MiB, MilliCores, Permille, Ratio};
use vmpack_planner::capacity::{
    Count, Fits, Growth, LARGEST, NoGrowth, Shape, Trend, fits, growth, trend,
};
use vmpack_planner::search::Search;
use vmpack_planner::whatif::Scene;

use super::arguments::CapacityArguments;
use super::failure::Failure;
use super::inputs::{self, micros};
use super::parallel;
use super::screen::{Look, count};
use super::session::Session;
use super::table::table;

/// Where nothing is asked for: so many of the sizes that are there.
const SIZES: usize = 5;
/// A month, in days: the mean of the calendar's.
const MONTH: f64 = 30.4375;

#[derive(Serialize)]
struct Told {
    hosts: usize,
    guests: usize,
    shapes: Vec<Fits>,
    /// Absent where there is no place for all guests as it is, none was found within the limits, or no
    /// load was measured.
    growth: Option<Growth>,
    trend: Option<Trend>,
    /// Days until load is what `growth` found; absent where it is not known to grow.
    days: Option<f64>,
    seconds: f64,
}

/// A question.
enum Asked {
    Fits(Shape),
    Growth,
}

/// Its answer.
enum Answered {
    Fits(Result<Fits, String>),
    Growth(Result<Growth, NoGrowth>),
}

/// Asks for every shape and for the growth, as many at once as there are cores.
pub(crate) fn run(arguments: &CapacityArguments, session: &mut Session) -> Result<Exit, Failure> {
    let inputs = inputs::read(&arguments.inputs, &arguments.limits, session)?;
    let scene = Scene {
        cluster: inputs.cluster,
        load: inputs.load,
        policy: inputs.policy,
    };
    let mut asked: Vec<Asked> = arguments
        .like
        .iter()
        .map(|g| Asked::Fits(Shape::Like(g.clone())))
        .collect();
    asked.extend(arguments.shape.iter().map(|s| {
        Asked::Fits(Shape::Size {
            vcpus: s.vcpus,
            memory: s.memory,
            cpu: s.cpu,
        })
    }));
    if asked.is_empty() {
        asked.extend(common(&scene).into_iter().map(Asked::Fits));
    }
    if !arguments.standing {
        asked.push(Asked::Growth);
    }
    session.heed_interrupts();
    let stop = session.stop();
    let began = Instant::now();
    let answers = parallel::each(&asked, |asked| {
        let own = Instant::now();
        let search = &mut Search {
            elapsed: &|| micros(own),
            stop: &|| stop.is_set(),
            report: &mut |_| {},
        };
        match asked {
            Asked::Fits(shape) => Answered::Fits(fits(&scene, shape, !arguments.standing, search)),
            Asked::Growth => Answered::Growth(growth(&scene, search)),
        }
    });
    let seconds = began.elapsed().as_secs_f64();
    let trend = trend(&scene.cluster, &scene.load);
    let mut grown = Err(NoGrowth::Open);
    // Whether there is a place for all as it is was not asked then.
    let is_asked = !arguments.standing;
    let mut told = Told {
        hosts: scene.cluster.hosts.len(),
        guests: scene.cluster.guests.len(),
        shapes: Vec::new(),
        growth: None,
        trend,
        days: None,
        seconds,
    };
    for answer in answers {
        match answer {
            Answered::Fits(fits) => told.shapes.push(fits.map_err(Failure::input)?),
            Answered::Growth(growth) => grown = growth,
        }
    }
    told.growth = grown.as_ref().ok().copied();
    // Load that cannot grow further never gets there.
    let grows = told.growth.filter(|g| !g.all_vcpus);
    told.days = grows.and_then(|growth| match arguments.growth {
        Some(monthly) => by_month(growth.found, monthly),
        None => told.trend.as_ref()?.until(growth.found),
    });
    if session.stopped() {
        writeln!(session.err, "stopped; what was not found is open")?;
    }
    if arguments.json {
        session.print_json(&told)?;
    } else {
        let grown = is_asked.then_some(&grown);
        let text = text(&told, grown, arguments.growth, session);
        session.out.write_all(text.as_bytes())?;
    }
    Ok(match grown {
        _ if !is_asked => Exit::Done,
        Ok(_) | Err(NoGrowth::Unmeasured) => Exit::Done,
        Err(NoGrowth::NoPlace(_)) => Exit::Infeasible,
        Err(NoGrowth::Open)
            if told
                .shapes
                .iter()
                .any(|s| s.moving.is_some_and(|m| m.found > 0)) =>
        {
            Exit::Done
        }
        Err(NoGrowth::Open) => Exit::NoAnswer,
    })
}

/// The sizes that there are most of, each with the demand of the middle one of its guests.
fn common(scene: &Scene) -> Vec<Shape> {
    let mut sizes: BTreeMap<(u32, MiB), Vec<MilliCores>> = BTreeMap::new();
    let demands = demands(&scene.cluster, &scene.load, &scene.policy);
    for (guest, demand) in scene.cluster.guests.iter().zip(demands) {
        let size = (guest.vcpus, guest.memory);
        sizes.entry(size).or_default().push(demand.cpu);
    }
    let mut sizes: Vec<_> = sizes.into_iter().collect();
    sizes.sort_by_key(|(_, guests)| std::cmp::Reverse(guests.len()));
    let shapes = sizes.into_iter().take(SIZES);
    shapes
        .map(|((vcpus, memory), mut demands)| {
            demands.sort_unstable();
            let cpu = demands.get(demands.len() / 2).copied();
            Shape::Size { vcpus, memory, cpu }
        })
        .collect()
}

/// Days until load that grows by a share each month is so many times what it is.
fn by_month(factor: Ratio, monthly: Permille) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "days for the eye")]
    let (factor, monthly) = (factor.0 as f64 / 1000.0, monthly.0 as f64 / 1000.0);
    (monthly > 0.0).then(|| factor.ln() / monthly.ln_1p() * MONTH)
}

fn text(
    told: &Told,
    grown: Option<&Result<Growth, NoGrowth>>,
    monthly: Option<Permille>,
    session: &Session,
) -> String {
    let number = |c: Count| {
        if c.found == c.at_most {
            c.found.to_string()
        } else {
            format!("{} to {}", c.found, c.at_most)
        }
    };
    let rows = told.shapes.iter().map(|fits| {
        let lacking = fits.lacking.iter();
        let lacking: Vec<String> = lacking
            .map(|l| format!("{} on {}", l.resource, l.hosts))
            .collect();
        [
            fits.shape.clone(),
            number(fits.standing),
            fits.moving.map_or_else(String::new, number),
            match &fits.why {
                Some(why) if fits.standing.found == 0 => why.clone(),
                _ => lacking.join(", "),
            },
        ]
    });
    let header = ["one more", "as it stands", "with moves", "then lacking"];
    let mut text = table(header, rows, 1..3);
    let Some(grown) = grown else {
        return text;
    };
    text.push('\n');
    let growth = match grown {
        Ok(growth) => growth,
        Err(NoGrowth::Unmeasured) => {
            return text + "no guest was measured: there is no load that could grow\n";
        }
        Err(NoGrowth::NoPlace(why)) => {
            let line = format!("there is no place for all guests as they are: {why}");
            return text + &session.screen.paint(Look::Bad, &line) + "\n";
        }
        Err(NoGrowth::Open) => {
            let line = "no place was found for all guests as they are; see `vmpack plan`";
            return text + &session.screen.paint(Look::Bad, line) + "\n";
        }
    };
    if growth.all_vcpus {
        return text
            + "however all load grows there is a place: guests that were measured may want all their vCPUs\n";
    }
    // What is not known to be the most is reached no sooner.
    let when = if growth.at_most == growth.found && growth.found < LARGEST {
        "that is in"
    } else {
        "that is not reached before"
    };
    text += &format!("all load may grow to {} times what it is", growth.found);
    text += &match growth.at_most {
        LARGEST if growth.found == LARGEST => ", and more was not tried".into(),
        LARGEST => String::new(),
        most if most == growth.found => {
            "; that there is no place for a hundredth more is proven".into()
        }
        most => format!("; above {most} times there is no place for all"),
    };
    text.push('\n');
    text += &match (monthly, &told.trend, told.days) {
        (Some(monthly), _, Some(days)) => {
            format!("at {monthly} a month {when} {days:.0} days\n")
        }
        (None, Some(trend), Some(days)) => format!(
            "at its trend, {:+.2} cores a day on {:.1} over {} of {}, {when} {days:.0} days after its last one\n",
            trend.daily,
            trend.level,
            count(trend.days, "day"),
            count(trend.guests, "guest"),
        ),
        (None, Some(trend), None) => format!(
            "its trend does not reach that: {:+.2} cores a day on {:.1} over {} of {}\n",
            trend.daily,
            trend.level,
            count(trend.days, "day"),
            count(trend.guests, "guest"),
        ),
        (Some(_), _, None) => "it does not grow\n".into(),
        (None, None, _) => {
            "its windows are less than two whole days, from which no trend is read; see --growth\n"
                .into()
        }
    };
    text
}
