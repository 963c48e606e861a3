//! The thread that asks a registry for what a cache lacks: one request at a time, as the table says when.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::{Shared, verdict};
use crate::registry::Registry;

/// A registry that goes on failing is worth a line so often.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// Begins to fetch, until the cache is over.
pub(super) fn spawn(registry: Registry, shared: Arc<Shared>) {
    let fetching = move || fetch(&registry, &shared);
    std::thread::Builder::new()
        .name("schemas".to_owned())
        .spawn(fetching)
        .map(drop)
        .expect("a process that cannot have one more thread cannot run pipelines either");
}

fn fetch(registry: &Registry, shared: &Shared) {
    let mut failing_since: Option<Instant> = None;
    let mut said: Option<Instant> = None;
    loop {
        let id = {
            let mut table = shared.table();
            loop {
                if table.over {
                    return;
                }
                table = match table.next(Instant::now()) {
                    Some(Ok(id)) => break id,
                    Some(Err(wait)) => {
                        let waited = shared.changed.wait_timeout(table, wait);
                        waited.unwrap_or_else(PoisonError::into_inner).0
                    }
                    None => shared.changed.wait(table).unwrap_or_else(PoisonError::into_inner),
                };
            }
        };
        let verdict = verdict(id, registry.by_id(id));
        let error = shared.table().answered(id, verdict, Instant::now());
        match error {
            Some(error) => {
                let since = *failing_since.get_or_insert_with(Instant::now);
                if said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
                    said = Some(Instant::now());
                    tracing::warn!(
                        schema = id.0,
                        "{error}; partitions whose records need it wait (for {} s so far)",
                        since.elapsed().as_secs()
                    );
                }
            }
            None => {
                if let Some(since) = failing_since.take() {
                    tracing::info!("the schema registry answers again, after {} s", since.elapsed().as_secs());
                    said = None;
                }
            }
        }
    }
}
