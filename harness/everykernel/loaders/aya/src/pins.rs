//! Pinning switched off: aya pins by name whatever the tool says, so each load pins into a folder of its own.

use std::{fs, path::PathBuf, process};

use aya::EbpfLoader;

const BPFFS: &str = "/sys/fs/bpf";

/// A folder in bpffs that is gone, with all that is pinned in it, when this is dropped.
pub struct Pins(Option<PathBuf>);

impl Pins {
    /// Lets `loader` pin where nothing is; with `kept`, or without a bpffs, where it would have.
    pub fn of(loader: &mut EbpfLoader<'_>, kept: bool) -> Self {
        let folder = PathBuf::from(format!("{BPFFS}/everykernel-aya-{}", process::id()));
        if kept || fs::create_dir(&folder).is_err() {
            return Self(None);
        }
        loader.default_map_pin_directory(&folder);
        Self(Some(folder))
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        let Some(folder) = &self.0 else { return };
        for pin in fs::read_dir(folder).into_iter().flatten().flatten() {
            let _gone = fs::remove_file(pin.path());
        }
        let _gone = fs::remove_dir(folder);
    }
}
