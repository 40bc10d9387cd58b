//! Real systems for tests and the demo.
