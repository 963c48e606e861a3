//! Schemas by id, for all tasks of a process: each id is asked for once, on a thread of its own. A worker asks and goes on;
//! nothing here ever makes it wait. Bounded in memory and in requests, whatever ids a topic is full of.

mod fetching;
mod table;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use millstream_formats::{SchemaId, WriterSchema};

use crate::panics;

use super::{GREATEST_ID, RegisteredSchema, Registry, RegistryError, RegistrySettings};
use table::{REFUSED_FOR, Table};

/// What is known of an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// Its schema. It stays known.
    Known(Arc<WriterSchema>),
    /// There is no such schema, or it cannot be read; and why, for people. That there is none is believed for a minute: who
    /// looks again after that may find it a moment later.
    Refused(Arc<str>),
    /// It is being asked for. Look again later.
    Pending,
    /// The registry has been asked in vain, and why; it is asked again by itself. Look again later.
    Failing(Arc<str>),
}

/// The schemas that a process knows; clones share them.
#[derive(Clone)]
pub struct SchemaCache(Arc<Handle>);

/// When the last of the clones goes, so does the thread.
struct Handle {
    shared: Arc<Shared>,
    origin: Origin,
}

/// Where schemas come from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Origin {
    /// There are none.
    Nowhere,
    /// Those that were given and no others.
    Given,
    /// A registry at this address.
    Registry(String),
}

struct Shared {
    table: Mutex<Table>,
    /// Something is to be fetched, or it is over.
    changed: Condvar,
}

impl Shared {
    /// The table is whole after each statement, so a thread that panicked has not spoiled it.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often what happened since the process began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheCounts {
    /// Requests for schemas that brought one.
    pub found: u64,
    /// Requests for schemas that there are not.
    pub missing: u64,
    /// Requests without a usable answer.
    pub failed: u64,
}

impl SchemaCache {
    /// A cache of the registry that the settings name; without one, of nothing.
    ///
    /// # Errors
    /// If the settings cannot be used.
    pub fn new(settings: &RegistrySettings) -> Result<SchemaCache, RegistryError> {
        SchemaCache::believing(settings, REFUSED_FOR)
    }

    /// The same, but that there is no such schema is believed for so long.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn believing(settings: &RegistrySettings, refused_for: Duration) -> Result<SchemaCache, RegistryError> {
        if settings.urls.is_empty() {
            return Ok(SchemaCache::default());
        }
        let registry = Registry::without_retries(settings)?;
        let origin = Origin::Registry(registry.address());
        let cache = SchemaCache::with(Table::believing(refused_for), origin);
        fetching::spawn(registry, cache.0.shared.clone());
        Ok(cache)
    }

    /// A cache of these schemas, with no registry behind it: any other id is one that there is not.
    pub fn given(schemas: impl IntoIterator<Item = (SchemaId, WriterSchema)>) -> SchemaCache {
        let known = schemas.into_iter().map(|(id, schema)| (id, Lookup::Known(Arc::new(schema)))).collect();
        SchemaCache::with(Table::of(known), Origin::Given)
    }

    fn with(table: Table, origin: Origin) -> SchemaCache {
        let shared = Arc::new(Shared { table: Mutex::new(table), changed: Condvar::new() });
        SchemaCache(Arc::new(Handle { shared, origin }))
    }

    /// Whether there is nothing that could know a schema.
    pub fn is_nowhere(&self) -> bool {
        self.0.origin == Origin::Nowhere
    }

    /// What is known of `id`, at once; what is not is asked for in the background.
    pub fn get(&self, id: SchemaId) -> Lookup {
        match &self.0.origin {
            // No registry numbers so high, and many random bytes do.
            _ if id > GREATEST_ID => {
                return Lookup::Refused(Arc::from(format!("no registry has a schema with the id {id}")));
            }
            Origin::Registry(_) => {}
            Origin::Given => {
                let missing = || Lookup::Refused(Arc::from(format!("there is no schema with the id {id}")));
                return self.0.shared.table().known(id).unwrap_or_else(missing);
            }
            Origin::Nowhere => {
                let message = "no schema registry is named: set `schema_registry.urls` in the settings, or \
                               SCHEMA_REGISTRY_URL";
                return Lookup::Failing(Arc::from(message));
            }
        }
        let mut table = self.0.shared.table();
        let lookup = table.get(id, Instant::now());
        if table.has_news() {
            self.0.shared.changed.notify_one();
        }
        lookup
    }

    /// How often what happened.
    pub fn counts(&self) -> CacheCounts {
        self.0.shared.table().counts
    }
}

/// A cache of nothing: no registry is named.
impl Default for SchemaCache {
    fn default() -> SchemaCache {
        SchemaCache::with(Table::default(), Origin::Nowhere)
    }
}

impl fmt::Debug for SchemaCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SchemaCache").field(&self.0.origin).finish()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.table().over = true;
        self.shared.changed.notify_all();
    }
}

/// What an answer says of an id: for good, or not.
fn verdict(id: SchemaId, answer: Result<RegisteredSchema, RegistryError>) -> Verdict {
    match answer {
        Ok(schema) => match panics::guard_shared(|| schema.parse()) {
            Ok(Ok(schema)) => Verdict::Known(Arc::new(schema)),
            Ok(Err(error)) => Verdict::Unreadable(Arc::from(format!("schema {id} cannot be read: {error}"))),
            // A bug of ours makes no dead letters: the records wait.
            Err(panic) => Verdict::Broken(Arc::from(format!("schema {id}: {panic}"))),
        },
        Err(RegistryError::NotFound { missing: super::Missing::Schema(_), .. }) => Verdict::Missing,
        // What the schema refers to is gone, say: others may be well.
        Err(error @ (RegistryError::NotFound { .. } | RegistryError::Rejected { .. })) => {
            Verdict::Broken(Arc::from(error.to_string()))
        }
        Err(error) => {
            let retry_after = match &error {
                RegistryError::Unavailable { retry_after, .. } => *retry_after,
                _ => None,
            };
            Verdict::Failed { message: Arc::from(error.to_string()), retry_after }
        }
    }
}

/// What came of one request.
enum Verdict {
    Known(Arc<WriterSchema>),
    Unreadable(Arc<str>),
    /// The registry says that there is none.
    Missing,
    /// The registry is well, but does not give this schema.
    Broken(Arc<str>),
    /// The registry is not well.
    Failed {
        message: Arc<str>,
        retry_after: Option<std::time::Duration>,
    },
}

/// Schemas as they are known from the start.
type KnownSchemas = BTreeMap<SchemaId, Lookup>;
