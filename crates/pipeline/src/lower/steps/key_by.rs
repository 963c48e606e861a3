//! key_by: the key of what follows. It is no node: the repartition stands before the step that needs it.

use crate::check::group_keys;
use crate::lower::builder::Builder;
use crate::lower::spread::RecordKey;
use crate::lower::stream::{Keyed, Stream};
use crate::spec::steps::KeyBy;

impl Builder<'_> {
    /// Sets the key.
    pub(crate) fn key_by(&mut self, stream: Stream, key_by: &KeyBy) -> Stream {
        let columns = self.columns(&stream);
        let names = key_by.0.as_slice();
        group_keys::check(names, &columns, &mut self.findings);
        let key = RecordKey::Columns(names.iter().map(|name| name.value.clone()).collect());
        Stream { key, keyed: Keyed::KeyBy, ..stream }
    }
}
