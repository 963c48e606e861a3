//! The scalar functions that an expression may call, and those that none may because no row decides their value.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use datafusion_expr::{ScalarUDF, Volatility};

use super::bounds::bounded;

/// The functions by name, aliases included.
pub(super) struct Functions {
    scalar: BTreeMap<String, Arc<ScalarUDF>>,
}

/// All scalar functions.
pub(super) static FUNCTIONS: LazyLock<Functions> = LazyLock::new(Functions::new);

/// Functions about the engine below rather than about data.
const LEFT_OUT: &[&str] = &["version", "arrow_metadata", "with_metadata"];

/// Functions known from other systems (or from the library) whose value no row decides.
const VOLATILE: &[(&str, Instead)] = &[
    ("clock_timestamp", Instead::EventTime),
    ("current_date", Instead::EventTime),
    ("current_time", Instead::EventTime),
    ("current_timestamp", Instead::EventTime),
    ("current_user", Instead::Nothing),
    ("gen_random_uuid", Instead::KeyAndOffset),
    ("getdate", Instead::EventTime),
    ("input_file_name", Instead::Nothing),
    ("file_row_index", Instead::KeyAndOffset),
    ("localtime", Instead::EventTime),
    ("localtimestamp", Instead::EventTime),
    ("newid", Instead::KeyAndOffset),
    ("now", Instead::EventTime),
    ("rand", Instead::KeyAndOffset),
    ("random", Instead::KeyAndOffset),
    ("random_uuid", Instead::KeyAndOffset),
    ("session_user", Instead::Nothing),
    ("statement_timestamp", Instead::EventTime),
    ("sysdate", Instead::EventTime),
    ("systimestamp", Instead::EventTime),
    ("today", Instead::EventTime),
    ("transaction_timestamp", Instead::EventTime),
    ("unix_timestamp", Instead::EventTime),
    ("uuid", Instead::KeyAndOffset),
    ("uuid_string", Instead::KeyAndOffset),
    ("uuidv4", Instead::KeyAndOffset),
    ("uuidv7", Instead::KeyAndOffset),
];

/// What to use instead of a volatile function.
#[derive(Debug, Clone, Copy)]
pub(super) enum Instead {
    /// A time that the record carries.
    EventTime,
    /// What tells the record from all others.
    KeyAndOffset,
    /// There is nothing like it.
    Nothing,
}

impl Instead {
    pub(super) fn help(self) -> String {
        match self {
            Instead::EventTime => {
                "Use a time that the record carries, such as its `_timestamp` column: a result must \
                                   be the same after a restart."
            }
            Instead::KeyAndOffset => {
                "Derive the value from the record, such as from its `_topic`, `_partition` and \
                                      `_offset` columns: a result must be the same after a restart."
            }
            Instead::Nothing => "A result may depend on the record only: it must be the same after a restart.",
        }
        .to_owned()
    }
}

impl Functions {
    fn new() -> Functions {
        let mut scalar = BTreeMap::new();
        let all = datafusion_functions::all_default_functions()
            .into_iter()
            .chain(datafusion_functions_nested::all_default_nested_functions());
        for function in all {
            let refused = function.signature().volatility != Volatility::Immutable
                || LEFT_OUT.contains(&function.name())
                || volatile(function.name()).is_some();
            if refused {
                continue;
            }
            let function = bounded(function);
            for alias in function.aliases() {
                scalar.entry(alias.clone()).or_insert_with(|| Arc::clone(&function));
            }
            scalar.insert(function.name().to_owned(), function);
        }
        Functions { scalar }
    }

    pub(super) fn scalar(&self, name: &str) -> Option<&Arc<ScalarUDF>> {
        self.scalar.get(name)
    }

    /// Whether `name`, in lower case, can be called.
    pub(super) fn knows(&self, name: &str) -> bool {
        name == "make_map" || self.scalar.contains_key(name)
    }

    /// All names, sorted.
    pub(super) fn names(&self) -> Vec<&str> {
        self.scalar.keys().map(String::as_str).collect()
    }
}

/// What to use instead of `name`, in lower case, if it is volatile.
pub(super) fn volatile(name: &str) -> Option<Instead> {
    VOLATILE.iter().find(|(known, _)| *known == name).map(|(_, instead)| *instead)
}
