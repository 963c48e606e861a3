//! Any text: parsing and checking it as a pipeline neither panics nor hangs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millstream_pipeline::diagnostic::Style;
use millstream_pipeline::interpolate::no_lookup;
use millstream_pipeline::topology::PartitionCounts;

fuzz_target!(|text: &str| {
    if let Err(diagnostics) = millstream_pipeline::check("fuzz.yaml", text, &no_lookup, &PartitionCounts::unknown()) {
        diagnostics.render(Style::Plain);
    }
    let _ = millstream_pipeline::parse_case("fuzz.yaml", text, &no_lookup);
});
