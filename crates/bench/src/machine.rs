//! The machine a run was made on, and what a process uses of it.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// Processor, memory, kernel, and the file system below the data.
pub(crate) fn describe(data: &Path) -> Value {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name").and_then(|rest| rest.split_once(':')))
        .map_or("unknown", |(_, model)| model.trim());
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    json!({
        "cpu": model,
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "memory_kib": field_kib(&memory, "MemTotal:"),
        "kernel": kernel.trim(),
        "load_average_at_start": fs::read_to_string("/proc/loadavg").unwrap_or_default().trim(),
        "data_on": file_system(data),
    })
}

/// Resident memory of a process, in bytes.
pub(crate) fn resident_bytes(pid: u32) -> Result<u64> {
    let file = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
    let kib = field_kib(&status, "VmRSS:").with_context(|| format!("no VmRSS in {file}"))?;
    Ok(kib * 1024)
}

/// The most that was resident since the last [`forget_peak`], in bytes.
pub(crate) fn peak_bytes(pid: u32) -> Result<u64> {
    let file = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
    let kib = field_kib(&status, "VmHWM:").with_context(|| format!("no VmHWM in {file}"))?;
    Ok(kib * 1024)
}

/// Sets the peak of resident memory back to what is resident now (proc(5), `clear_refs`).
pub(crate) fn forget_peak(pid: u32) -> Result<()> {
    let file = format!("/proc/{pid}/clear_refs");
    fs::write(&file, "5").with_context(|| format!("cannot write {file}"))
}

/// In units of 10⁶ bytes, to three places.
pub(crate) fn megabytes(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes / 1000).unwrap_or(u32::MAX)) / 1000.0
}

fn field_kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// The type of the file system that holds a path: a disk in memory would flatter every figure.
fn file_system(path: &Path) -> String {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some((words.nth(1)?, words.next()?))
        })
        .filter(|(place, _)| path.starts_with(place))
        .max_by_key(|(place, _)| place.len())
        .map_or_else(|| "unknown".to_owned(), |(_, kind)| kind.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_process_has_resident_memory() {
        assert!(resident_bytes(std::process::id()).unwrap() > 1024 * 1024);
    }

    #[test]
    fn the_file_system_of_a_path_is_that_of_its_longest_mount() {
        assert_eq!(file_system(Path::new("/proc/self/status")), "proc");
    }
}
