//! Lists of topic partitions in the library's own form; never with a name or a metadata that the library would have to trust.

use std::ffi::CStr;
use std::ptr::{NonNull, addr_of};

use rdkafka_sys as sys;

use super::error::{Code, NativeError, c_string};

/// A list that is ours.
pub(in crate::log::kafka) struct List(NonNull<sys::rd_kafka_topic_partition_list_t>);

/// One partition of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::log::kafka) struct Entry {
    pub(in crate::log::kafka) topic: String,
    pub(in crate::log::kafka) partition: i32,
    pub(in crate::log::kafka) offset: i64,
    pub(in crate::log::kafka) metadata: String,
    pub(in crate::log::kafka) code: Code,
}

impl Entry {
    /// Topic and partition.
    pub(in crate::log::kafka) fn place(&self) -> (String, i32) {
        (self.topic.clone(), self.partition)
    }
}

impl List {
    pub(in crate::log::kafka) fn new() -> List {
        // SAFETY: the function has no preconditions and aborts the process when there is no memory.
        let list = unsafe { sys::rd_kafka_topic_partition_list_new(8) };
        List(NonNull::new(list).expect("the library aborts when there is no memory"))
    }

    /// Adds a partition with an offset.
    pub(in crate::log::kafka) fn add(&mut self, topic: &str, partition: i32, offset: i64) -> Result<(), NativeError> {
        self.add_with(topic, partition, offset, "")
    }

    /// Adds a partition with an offset and what is to stand beside it.
    pub(in crate::log::kafka) fn add_with(
        &mut self,
        topic: &str,
        partition: i32,
        offset: i64,
        metadata: &str,
    ) -> Result<(), NativeError> {
        let topic = c_string(topic)?;
        // SAFETY: the list is ours and valid, the name is copied; the element that is returned stays where it is until the
        // next addition. The metadata is memory of the library's allocator, which the list frees with itself.
        unsafe {
            let element = sys::rd_kafka_topic_partition_list_add(self.0.as_ptr(), topic.as_ptr(), partition);
            (*element).offset = offset;
            if !metadata.is_empty() {
                let copy = sys::rd_kafka_mem_malloc(std::ptr::null_mut(), metadata.len());
                std::ptr::copy_nonoverlapping(metadata.as_ptr(), copy.cast::<u8>(), metadata.len());
                (*element).metadata = copy;
                (*element).metadata_size = metadata.len();
            }
        }
        Ok(())
    }

    pub(super) fn as_ptr(&self) -> *mut sys::rd_kafka_topic_partition_list_t {
        self.0.as_ptr()
    }

    /// Copies the partitions out.
    pub(in crate::log::kafka) fn entries(&self) -> Vec<Entry> {
        // SAFETY: the list is ours and valid.
        unsafe { entries_of(self.0.as_ptr()) }
    }
}

impl Drop for List {
    fn drop(&mut self) {
        // SAFETY: the list is ours and is destroyed once.
        unsafe { sys::rd_kafka_topic_partition_list_destroy(self.0.as_ptr()) }
    }
}

/// Copies the partitions out of a list; none for null.
///
/// # Safety
/// `list` is null or a valid list.
pub(super) unsafe fn entries_of(list: *const sys::rd_kafka_topic_partition_list_t) -> Vec<Entry> {
    if list.is_null() {
        return Vec::new();
    }
    // SAFETY: valid by the caller's promise; `elems` has `cnt` elements, whose names end with a zero and whose metadata has
    // the size that stands beside it. The code is read as an integer, without making a reference to the element.
    unsafe {
        let count = usize::try_from((*list).cnt).unwrap_or(0);
        (0..count)
            .map(|index| {
                let element = (*list).elems.add(index);
                let metadata = if (*element).metadata.is_null() {
                    String::new()
                } else {
                    let bytes = std::slice::from_raw_parts((*element).metadata.cast::<u8>(), (*element).metadata_size);
                    String::from_utf8_lossy(bytes).into_owned()
                };
                Entry {
                    topic: CStr::from_ptr((*element).topic).to_string_lossy().into_owned(),
                    partition: (*element).partition,
                    offset: (*element).offset,
                    metadata,
                    code: Code(addr_of!((*element).err).cast::<i32>().read()),
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out() {
        let mut list = List::new();
        for partition in 0..100 {
            list.add_with("orders", partition, 7 * i64::from(partition), &"m".repeat(partition as usize))
                .expect("added");
        }
        let entries = list.entries();
        assert_eq!(entries.len(), 100);
        for (partition, entry) in entries.iter().enumerate() {
            assert_eq!((entry.topic.as_str(), entry.partition as usize), ("orders", partition));
            assert_eq!((entry.offset, entry.metadata.len()), (7 * partition as i64, partition));
            assert_eq!(entry.code, Code::NONE);
        }
    }

    #[test]
    fn a_name_with_a_zero_byte_is_refused() {
        assert!(List::new().add("a\0b", 0, 0).is_err());
    }
}
