//! Stores of tasks in a sled database: one folder per process, one tree per task.
