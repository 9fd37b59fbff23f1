//! What is asked: one JSON file, its fields as the adapter contract 1 has them.

use std::{collections::BTreeMap, fs};

use serde::Deserialize;

const CONTRACT: u32 = 1;

/// A request. `btf` is a file with types for CO-RE; `programs` names those to try, all without it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    contract: u32,
    pub object: String,
    #[serde(default)]
    pub programs: Option<Vec<String>>,
    #[serde(default)]
    pub btf: Option<String>,
    #[serde(default)]
    pub maps: BTreeMap<String, Sizes>,
    #[serde(default)]
    pub pins: bool,
    #[serde(default = "log_size")]
    pub log_size: usize,
}

/// The sizes that a tool would set; aya can set the first only.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sizes {
    pub max_entries: Option<u32>,
    pub key_size: Option<u32>,
    pub value_size: Option<u32>,
}

fn log_size() -> usize {
    16 << 20
}

impl Request {
    /// Reads the file that the only argument names.
    pub fn from_arguments() -> Result<Self, String> {
        let mut arguments = std::env::args_os().skip(1);
        let (Some(path), None) = (arguments.next(), arguments.next()) else {
            return Err("usage: everykernel-aya REQUEST.json".into());
        };
        let where_ = path.display();
        let text = fs::read(&path).map_err(|e| format!("{where_}: {e}"))?;
        let request: Self = serde_json::from_slice(&text).map_err(|e| format!("{where_}: {e}"))?;
        if request.contract != CONTRACT {
            return Err(format!("{where_}: contract {}, this adapter has {CONTRACT}", request.contract));
        }
        Ok(request)
    }

    /// Whether a program is asked for.
    pub fn wants(&self, program: &str) -> bool {
        self.programs.as_ref().is_none_or(|names| names.iter().any(|name| name == program))
    }

    /// What a tool would set and aya has no way to, in one line; empty where there is nothing.
    pub fn ignored(&self) -> String {
        let of = |(name, sizes): (&String, &Sizes)| match (sizes.key_size, sizes.value_size) {
            (None, None) => None,
            (Some(_), None) => Some(format!("{name}: key_size")),
            (None, Some(_)) => Some(format!("{name}: value_size")),
            (Some(_), Some(_)) => Some(format!("{name}: key_size, value_size")),
        };
        self.maps.iter().filter_map(of).collect::<Vec<_>>().join("; ")
    }
}
