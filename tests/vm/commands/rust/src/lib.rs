//! What a test of a Rust crate finds in a guest: a kernel, its own files, its environment.

/// Returns the series of a release: `6.12` of `6.12.57+deb13-cloud-amd64`.
pub fn series(release: &str) -> String {
    release.splitn(3, '.').take(2).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use std::{env, fs};

    #[test]
    fn runs_on_a_kernel_that_testdata_names() {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let known = fs::read_to_string("testdata/series").unwrap();
        println!("this is {}", super::series(&release));
        assert!(known.lines().any(|line| line == super::series(&release)), "{release}");
    }

    #[test]
    fn fails_where_it_is_asked() {
        assert!(env::var_os("TOOL_FAILS").is_none());
    }
}
