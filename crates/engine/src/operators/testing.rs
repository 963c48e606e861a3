//! A harness that runs one operator as a task does, for the operators' tests.
