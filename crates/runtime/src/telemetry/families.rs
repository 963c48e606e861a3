//! Metric families as the `prometheus` crate's encoder takes them, filled sample by sample from the catalogue's names.

use std::collections::BTreeMap;

use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

use super::catalogue::{MetricDef, MetricKind};

/// Families under construction, by name; the samples of each by the values of its labels.
#[derive(Debug, Default)]
pub(super) struct Families(BTreeMap<&'static str, (MetricDef, BTreeMap<Vec<String>, f64>)>);

impl Families {
    /// Adds a sample; `labels` are the values of the metric's labels, in its order. Of two samples with the same labels,
    /// which Prometheus would refuse (a task in two workers' hands for a moment), the greater stays.
    pub(super) fn add(&mut self, def: &MetricDef, labels: &[&str], value: f64) {
        debug_assert_eq!(def.labels.len(), labels.len(), "{}", def.name);
        debug_assert_ne!(def.kind, MetricKind::Histogram, "{} observes durations one by one", def.name);
        let (_, samples) = self.0.entry(def.name).or_insert_with(|| (*def, BTreeMap::new()));
        let labels = labels.iter().map(|value| (*value).to_owned()).collect();
        samples.entry(labels).and_modify(|there| *there = value.max(*there)).or_insert(value);
    }

    /// Adds a sample of a whole number.
    pub(super) fn count(&mut self, def: &MetricDef, labels: &[&str], value: u64) {
        self.add(def, labels, value as f64);
    }

    /// Adds one sample for each of `names`: 1 for the one that holds, 0 for the others. `names` fill the last label.
    pub(super) fn one_of(&mut self, def: &MetricDef, labels: &[&str], names: &[&str], holds: &str) {
        for name in names {
            self.count(def, &[labels, &[name]].concat(), u64::from(*name == holds));
        }
    }

    /// The families, by name.
    pub(super) fn into_families(self) -> Vec<MetricFamily> {
        self.0.into_values().map(|(def, samples)| family(&def, samples)).collect()
    }
}

fn family(def: &MetricDef, samples: BTreeMap<Vec<String>, f64>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(def.name.to_owned());
    family.set_help(def.help.to_owned());
    family.set_field_type(match def.kind {
        MetricKind::Counter => MetricType::COUNTER,
        MetricKind::Gauge => MetricType::GAUGE,
        MetricKind::Histogram => MetricType::HISTOGRAM,
    });
    family.set_metric(samples.into_iter().map(|(labels, value)| sample(def, labels, value)).collect());
    family
}

fn sample(def: &MetricDef, labels: Vec<String>, value: f64) -> Metric {
    let mut metric =
        Metric::from_label(def.labels.iter().zip(labels).map(|(name, value)| label(name, value)).collect());
    if def.kind == MetricKind::Counter {
        let mut counter = Counter::default();
        counter.set_value(value);
        metric.set_counter(counter);
    } else {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
    }
    metric
}

fn label(name: &str, value: String) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value);
    pair
}
