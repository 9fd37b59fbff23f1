//! The events, each written as one JSON line and flushed at once.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Value, json};

use crate::errors::Refusal;

const PASSED: &str = "passed";
const FAILED: &str = "failed";

/// Writes events to stdout.
pub struct Events;

/// What a map is, as its object or the kernel says.
#[derive(Serialize)]
pub struct MapShape {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub key_size: u32,
    pub value_size: u32,
    pub max_entries: u32,
}

/// A program of the object, by what its file says.
#[derive(Clone, Serialize)]
pub struct ProgramName {
    pub name: String,
    pub section: String,
    #[serde(rename = "type")]
    pub kind: &'static str,
}

impl Events {
    fn write(&self, event: &Value) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{event}")?;
        out.flush()
    }

    pub fn loader(&self, detail: &Value) -> io::Result<()> {
        self.write(&json!({"event": "loader", "name": "aya", "version": "0.16.0", "detail": detail}))
    }

    pub fn object(&self, refusal: Option<&Refusal>) -> io::Result<()> {
        self.write(&verdict(json!({"event": "object"}), refusal))
    }

    pub fn map(&self, shape: &MapShape, refusal: Option<&Refusal>) -> io::Result<()> {
        self.write(&verdict(named("map", shape), refusal))
    }

    /// A program's verdict; `insns` are those that the verifier walked, where the kernel tells.
    pub fn program(&self, name: &ProgramName, outcome: Result<Option<u32>, &Refusal>) -> io::Result<()> {
        let mut event = verdict(named("program", name), outcome.err());
        event["by"] = json!(outcome.err().map_or("", |r| r.by.word()));
        event["log"] = json!(outcome.err().map_or("", |r| r.log.as_str()));
        event["verified_insns"] = json!(outcome.ok().flatten());
        self.write(&event)
    }

    /// A program that this adapter cannot ask the library about.
    pub fn skipped(&self, name: &ProgramName, why: &str) -> io::Result<()> {
        let mut event = named("program", name);
        for (key, value) in [("status", "skipped"), ("message", why), ("by", ""), ("log", "")] {
            event[key] = json!(value);
        }
        event["errno"] = Value::Null;
        event["verified_insns"] = Value::Null;
        self.write(&event)
    }

    pub fn whole(&self, refusal: Option<&Refusal>) -> io::Result<()> {
        self.write(&verdict(json!({"event": "whole"}), refusal))
    }

    pub fn end(&self) -> io::Result<()> {
        self.write(&json!({"event": "end"}))
    }
}

fn named(event: &str, fields: &impl Serialize) -> Value {
    let mut value = json!(fields);
    value["event"] = json!(event);
    value
}

fn verdict(mut event: Value, refusal: Option<&Refusal>) -> Value {
    event["status"] = json!(if refusal.is_some() { FAILED } else { PASSED });
    event["errno"] = json!(refusal.and_then(|r| r.errno.as_deref()));
    event["message"] = json!(refusal.map_or("", |r| r.message.as_str()));
    event
}
