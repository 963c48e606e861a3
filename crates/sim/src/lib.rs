//! A seeded world for tests: naive models of what the engine must do, random histories, faults and a checker; it never
//! ships in the binary.

pub mod model;
pub mod random;
pub mod world;
