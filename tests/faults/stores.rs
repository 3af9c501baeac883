//! The store answers with errors, slowly, falsely or not at all.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::harness::Setup;
use crate::load::Rate;
use crate::proxy::Weather;
use crate::trial::{Context, Outcome, Trial};

/// Load under a weather for a while. The store's trouble is no client's business: none may be refused.
fn under(context: &Context, run: &str, weather: Weather, time: Duration) -> Outcome {
    let mut trial = Trial::on_s3(context, run, Setup::default());
    let load = trial.load(Rate::new(4, 25.0));
    sleep(Duration::from_secs(1));
    if let Some(proxy) = &trial.proxy {
        proxy.take_counts();
        proxy.set(weather);
        sleep(time);
        proxy.clear();
    }
    let since = Instant::now();
    let ledger = load.stop();
    trial.promise(ledger.refused().is_empty() && ledger.broken() == 0, || "clients noticed the store's trouble".into());
    trial.note(format!("{} s", time.as_secs()));
    trial.finish(&ledger, since)
}

fn seconds(context: &Context, short: u64, long: u64) -> Duration {
    Duration::from_secs(context.pick(short, long))
}

/// 500 and 503 for 10 % of the requests, 429 for 5 %.
pub fn errors(context: &Context) -> Outcome {
    let weather = Weather { error: 0.1, throttle: 0.05, ..Weather::default() };
    under(context, "errors", weather, seconds(context, 20, 300))
}

/// 35 % of the requests 3 s late, 30 % slow closes, 15 % reset.
pub fn slow(context: &Context) -> Outcome {
    let delay = (Duration::from_secs(3), 0.35);
    let weather = Weather { delay, slow_close: 0.3, reset: 0.15, ..Weather::default() };
    under(context, "slow", weather, seconds(context, 25, 300))
}

/// 1 kbit/s.
pub fn narrow(context: &Context) -> Outcome {
    let weather = Weather { bytes_per_second: Some(125), ..Weather::default() };
    under(context, "narrow", weather, seconds(context, 15, 300))
}

/// Requests succeed, and their replies are lost or say otherwise.
pub fn lost_replies(context: &Context) -> Outcome {
    let weather = Weather { lose_reply: 0.5, complete_fails: 0.5, ..Weather::default() };
    under(context, "replies", weather, seconds(context, 15, 300))
}

/// Credentials that expired or were withdrawn, for a while.
pub fn forbidden(context: &Context) -> Outcome {
    let weather = Weather { forbidden: Some("ExpiredToken"), ..Weather::default() };
    under(context, "forbidden", weather, seconds(context, 12, 300))
}

/// Nothing gets through for two minutes, an hour, or as long as was said.
pub fn away(context: &Context) -> Outcome {
    let weather = Weather { blackout: true, ..Weather::default() };
    under(context, "away", weather, context.away.unwrap_or(seconds(context, 120, 3600)))
}
