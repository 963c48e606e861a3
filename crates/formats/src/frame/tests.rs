//! Frames there and back, and frames that are not whole.

use arrow::array::UInt32Array;
use millstream_engine::time::Millis;

use super::*;
use crate::testing::{Random, batch, flat_columns, nested_columns};

fn random_rows(seed: u64, count: usize) -> RecordBatch {
    let mut random = Random::new(seed);
    let mut columns = flat_columns(count, &mut random);
    columns.extend(nested_columns(count, &mut random));
    batch(columns)
}

#[test]
fn frames_read_back() {
    for seed in 0..30 {
        let rows = random_rows(seed, (seed as usize * 7) % 60);
        assert_eq!(decode(&encode(&rows).unwrap()).unwrap(), rows, "seed {seed}");
        let slice = rows.slice(rows.num_rows() / 3, rows.num_rows() / 2);
        assert_eq!(decode(&encode(&slice).unwrap()).unwrap(), slice, "seed {seed}");
    }
    let nothing = RecordBatch::new_empty(Arc::new(Schema::empty()));
    assert_eq!(decode(&encode(&nothing).unwrap()).unwrap(), nothing);
}

#[test]
fn compression_pays_or_is_left_out() {
    let column: ArrayRef = Arc::new(Int64Array::from(vec![7; 10_000]));
    let rows = RecordBatch::try_from_iter([("n", column)]).unwrap();
    let frame = encode(&rows).unwrap();
    assert!(frame.len() < 2_000, "{} bytes", frame.len());
    assert_eq!(decode(&frame).unwrap(), rows);

    let mut random = Random::new(1);
    let column: ArrayRef = Arc::new(UInt64Array::from_iter_values((0..1000).map(|_| random.next())));
    let rows = RecordBatch::try_from_iter([("n", column)]).unwrap();
    assert_eq!(encode(&rows).unwrap()[8] & COMPRESSED, 0);
}

#[test]
fn a_cut_or_changed_frame_is_an_error() {
    let frame = encode(&random_rows(3, 5)).unwrap();
    for len in 0..frame.len() {
        assert!(decode(&frame[..len]).is_err(), "cut at {len}");
    }
    let mut longer = frame.clone();
    longer.push(0);
    assert!(decode(&longer).is_err());
    for at in 0..frame.len() {
        for bit in 0..8 {
            let mut changed = frame.clone();
            changed[at] ^= 1 << bit;
            assert!(decode(&changed).is_err(), "bit {bit} of byte {at}");
        }
    }
    assert_eq!(decode(b"{\"a\":1}"), Err(FrameError::Foreign));
}

/// Whatever stands behind the version, which another version may lay out in another way.
#[test]
fn a_frame_of_another_version_is_refused_with_the_way_out() {
    let (plain, sent) = (encode(&random_rows(3, 5)).unwrap(), encode_exchange(&exchange(1, 3)).unwrap());
    let page = encode_page(PageId { pane: -7, bucket: 3 }, &random_rows(3, 5)).unwrap();
    let bytes = encode_bytes(b"a few").unwrap();
    for version in (0..=u8::MAX).filter(|version| *version != VERSION) {
        for mut frame in [plain.clone(), sent.clone(), page.clone(), bytes.clone(), b"MSF_".to_vec()] {
            frame[3] = version;
            assert_eq!(decode(&frame), Err(FrameError::Version(version)));
            assert_eq!(decode_page(&frame), Err(FrameError::Version(version)));
            assert_eq!(decode_bytes(&frame), Err(FrameError::Version(version)));
            assert_eq!(exchange_sender(&frame), Err(FrameError::Version(version)));
            assert_eq!(decode_exchange(&frame, InputId(0)).unwrap_err(), FrameError::Version(version));
        }
    }
    assert_eq!(
        FrameError::Version(1).to_string(),
        "a frame of version 1, where this release of millstream knows 2: run the release that wrote it"
    );
}

#[test]
fn bytes_and_pages_read_back_and_as_nothing_else() {
    let id = PageId { pane: i64::MIN, bucket: u32::MAX };
    let rows = random_rows(11, 9);
    let (page, plain) = (encode_page(id, &rows).unwrap(), encode(&rows).unwrap());
    assert_eq!(decode_page(&page).unwrap(), (id, rows));
    for content in [vec![], vec![7], vec![1; 5_000], (0..=255).cycle().take(3_000).collect::<Vec<u8>>()] {
        let frame = encode_bytes(&content).unwrap();
        assert_eq!(decode_bytes(&frame).unwrap(), content);
        for len in 0..frame.len() {
            assert!(decode_bytes(&frame[..len]).is_err(), "{} bytes cut at {len}", content.len());
        }
        assert_eq!((decode(&frame), decode_page(&frame)), (Err(FrameError::Foreign), Err(FrameError::Foreign)));
    }
    for len in 0..page.len() {
        assert!(decode_page(&page[..len]).is_err(), "cut at {len}");
    }
    for frame in [page, plain.clone(), encode_exchange(&exchange(1, 3)).unwrap()] {
        assert_eq!(decode_bytes(&frame), Err(FrameError::Foreign));
    }
    assert_eq!(decode_page(&plain), Err(FrameError::Foreign));
}

/// Forged frames have a good checksum over bad content: any answer will do but a panic.
#[test]
fn a_forged_frame_does_not_panic() {
    let column: ArrayRef = Arc::new(arrow::array::StringArray::from(vec![Some("a"), None, Some("bc")]));
    let plain = encode(&RecordBatch::try_from_iter([("s", column)]).unwrap()).unwrap();
    assert_eq!(plain[8], 0);
    let packed = encode(&random_rows(3, 20)).unwrap();
    assert_eq!(packed[8], COMPRESSED);
    let mut random = Random::new(5);
    for (frame, tries) in [(plain, 4_000), (packed, 1_000)] {
        for _ in 0..tries {
            let mut forged = frame.clone();
            for _ in 0..=random.below(2) {
                let at = 8 + random.below(forged.len() - 8);
                forged[at] = random.next() as u8;
            }
            let checksum = crc32fast::hash(&forged[8..]);
            forged[4..8].copy_from_slice(&checksum.to_le_bytes());
            let _any = decode(&forged);
        }
    }
}

fn exchange(seed: u64, count: usize) -> ExchangeFrame {
    let mut random = Random::new(seed);
    let numbers = |random: &mut Random| Int64Array::from_iter_values((0..count).map(|_| random.next() as i64));
    let clock = RowClock {
        before: seed.is_multiple_of(2).then(|| numbers(&mut random)),
        own: OwnTime::Silent,
        late_by: seed.is_multiple_of(7).then(|| numbers(&mut random)),
        after: if seed.is_multiple_of(3) { Watermark::UNKNOWN } else { Watermark(-5) },
    };
    let meta = RowMeta {
        input: InputId(9),
        event_time: numbers(&mut random),
        origin: match seed % 4 {
            0 => RowOrigin::One(Origin::new(3, PartitionId(4))),
            _ => RowOrigin::Each(UInt64Array::from_iter_values((0..count).map(|_| random.next()))),
        },
        offset: numbers(&mut random),
        clock,
        position: None,
        mixture: None,
        tombstone: seed.is_multiple_of(5).then(|| BooleanArray::from(vec![true; count])),
    };
    let sender = TaskId { subtopology: 1, partition: PartitionId(seed as u32) };
    let end = if seed.is_multiple_of(3) { End::Reached } else { End::Ahead };
    ExchangeFrame {
        sender,
        idle: seed % 2 == 1,
        end,
        batch: Batch { rows: batch(flat_columns(count, &mut random)), meta },
    }
}

#[test]
fn exchanged_rows_arrive_with_their_times() {
    for seed in 0..40 {
        let sent = exchange(seed, (seed as usize * 3) % 20);
        let frame = encode_exchange(&sent).unwrap();
        assert_eq!(exchange_sender(&frame).unwrap(), sent.sender);
        let got = decode_exchange(&frame, InputId(9)).unwrap();
        assert_eq!((got.sender, got.idle, got.end), (sent.sender, sent.idle, sent.end));
        // Batches have no equality of their own; their debug form shows all there is.
        assert_eq!(format!("{:?}", got.batch), format!("{:?}", sent.batch), "seed {seed}");
        assert_eq!(decode(&frame), Err(FrameError::Foreign));
        for len in 0..frame.len() {
            assert!(decode_exchange(&frame[..len], InputId(0)).is_err());
        }
    }
    let plain = encode(&random_rows(1, 2)).unwrap();
    assert_eq!(decode_exchange(&plain, InputId(0)).unwrap_err(), FrameError::Foreign);
}

#[test]
fn a_frame_of_time_only_and_a_position_that_stays_behind() {
    let mut sent = exchange(1, 3);
    sent.batch.meta.position = Some(UInt32Array::from(vec![0, 1, 2]));
    sent.batch.meta.clock.own = OwnTime::Less(Millis(1));
    let got = decode_exchange(&encode_exchange(&sent).unwrap(), InputId(2)).unwrap();
    assert!(got.batch.meta.position.is_none());
    assert_eq!((got.batch.meta.clock.own, got.batch.meta.input), (OwnTime::Silent, InputId(2)));

    let time = Batch::time_only(sent.batch.rows.schema(), InputId(0), Watermark(77));
    let frame =
        encode_exchange(&ExchangeFrame { sender: sent.sender, idle: true, end: End::Reached, batch: time }).unwrap();
    let got = decode_exchange(&frame, InputId(0)).unwrap();
    assert_eq!((got.batch.len(), got.batch.meta.clock.after, got.idle), (0, Watermark(77), true));
}
