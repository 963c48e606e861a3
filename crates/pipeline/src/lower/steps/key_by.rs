//! key_by: the key of what follows, and rows without one left out. The repartition stands before the step that needs it.

use super::Place;
use crate::check::group_keys;
use crate::lower::builder::Builder;
use crate::lower::graph::Op;
use crate::lower::spread::RecordKey;
use crate::lower::stream::{Keyed, Stream};
use crate::spec::steps::KeyBy;

impl Builder<'_> {
    /// Sets the key.
    pub(crate) fn key_by(&mut self, stream: Stream, key_by: &KeyBy, place: &Place) -> Stream {
        let columns = self.columns(&stream);
        let names = key_by.0.as_slice();
        let edge = match group_keys::check(names, &columns, &mut self.findings) {
            Some(key) => self.append(place.name.clone(), stream.edge, columns, Op::KeyBy(key)),
            None => stream.edge,
        };
        let key = RecordKey::Columns(names.iter().map(|name| name.value.clone()).collect());
        Stream { edge, key, keyed: Keyed::KeyBy, ..stream }
    }
}
